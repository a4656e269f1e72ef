-- As many connections at once as are asked for, from a process of clients to one
-- of goroutines, one each; prints what memory each takes in the server.
--
--   lua5.4 spec/soak/connections.lua count interpreter...
--
-- The limit of open files has to allow them (ulimit -n).

local go = require("goroutines")

local count = tonumber(arg[1])

local function clients(port)
  local conns = {}
  for i = 1, count do
    conns[i] = assert(go.net.connect("127.0.0.1", port, { timeout = 60 }))
  end
  for round = 1, 2 do
    for i, conn in ipairs(conns) do
      assert(conn:write(i, " ", round, "\n"))
    end
    for i, conn in ipairs(conns) do
      local line = assert(conn:read())
      assert(line == i .. " " .. round, line)
    end
    print("answered") -- the server measures, or ends
    go.stdin:read()
  end
end

if arg[2] == "client" then
  return clients(tonumber(arg[3]))
end

local function resident_bytes()
  return tonumber(go.fs.read_file("/proc/self/status"):match("VmRSS:%s*(%d+)")) * 1024
end

local function serve(conn)
  local _ <close> = conn
  for line in conn:lines("L") do
    conn:write(line)
  end
end

local listener = assert(go.net.listen("127.0.0.1", 0))
go(function()
  for conn in listener do go(serve, conn) end
end)

local words = table.move(arg, 2, #arg, 1, {})
for _, word in ipairs({ arg[0], count, "client", listener:port() }) do
  words[#words + 1] = word
end
words.stdin, words.stdout = "pipe", "pipe"
local before = go.stats()
local bytes = resident_bytes()
local child = assert(go.process.spawn(words))
assert(child.stdout:read() == "answered")
local now = go.stats()
assert(now.descriptors - before.descriptors >= count)
assert(now.goroutines - before.goroutines >= count)
print(("%d connections at once, %.1f KB each"):format(
  count, (resident_bytes() - bytes) / count / 1024))
child.stdin:write("go on\n")
assert(child.stdout:read() == "answered")
child.stdin:close()
assert(child:wait() == 0)
while go.stats().goroutines > before.goroutines do go.sleep(0.01) end
local left = go.stats().descriptors - before.descriptors
assert(left <= 3, left .. " descriptors are left") -- the child's pipes
