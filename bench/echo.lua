-- Echo servers under the same load: this module's, Go's, and one in plain C with
-- libuv. Prints one table. See README.md.
--
--   lua5.4 bench/echo.lua [seconds for each measurement]

local go = require("goroutines")
local layout = dofile((arg[0]:match("^.*/") or "") .. "table.lua")

local here = arg[0]:match("^.*/") or "./"
local BUILD = here .. "../build/bench"
local SECONDS = tonumber(arg[1] or 3)

-- True if the commands are there and do what they should.
local function build(text)
  return (os.execute("mkdir -p '" .. BUILD .. "' && " .. text))
end

local function compile(name, libraries)
  return build(("cc -O2 -std=gnu11 -o '%s/%s-c' '%sc/%s.c' %s"):format(
    BUILD, name, here, name, libraries))
end

assert(compile("load", ""))
local servers = {
  { name = "goroutines", words = { "lua5.4", here .. "servers/echo.lua" } },
}
if compile("echo", "-luv -lpthread") then
  servers[#servers + 1] = { name = "libuv in C", words = { BUILD .. "/echo-c" } }
end
if build(("out=$(cd '%s' && pwd) && cd '%sgo' && go build -o \"$out/bench-go\" .")
    :format(BUILD, here)) then
  servers[#servers + 1] =
    { name = "Go", words = { BUILD .. "/bench-go", "echo_server" } }
end

-- The words of the load generator's line, as numbers; nil if it failed.
local function measure(server, procs, connections)
  local words = table.move(server.words, 1, #server.words, 2, { "env" })
  table.insert(words, 2, "GOROUTINES_PROCS=" .. procs)
  table.insert(words, 2, "GOMAXPROCS=" .. procs)
  if #server.words == 1 then words[#words + 1] = procs end -- C's argument
  words.stdout = "pipe"
  local p = assert(go.process.spawn(words))
  local port = p.stdout:read():match("listening at (%d+)")
  local r = go.process.run({ BUILD .. "/load-c", port, p.pid, connections, SECONDS,
                             timeout = SECONDS + 30 })
  p:kill("KILL")
  p:wait()
  if not r or r.code ~= 0 then return nil, r and r.stderr end
  local figures = {}
  for word in r.stdout:gmatch("%S+") do figures[#figures + 1] = word end
  return figures
end

local rows = { { "server", "processors", "connections", "requests/s",
                 "CPU/request, us", "p50, us", "p99, us" } }
for _, procs in ipairs({ 1, 2 }) do
  for _, connections in ipairs({ 1, 50, 500 }) do
    for _, server in ipairs(servers) do
      local figures, why = measure(server, procs, connections)
      if why then io.stderr:write(why) end
      figures = figures or { "·", "·", "·", "·" }
      rows[#rows + 1] = { server.name, tostring(procs), tostring(connections),
                          table.unpack(figures) }
    end
  end
end
print(layout.rows(rows))
