-- Counts the words of 200 MB of C headers on all processors, then by the plain
-- sequential program; checks that both print the same, and shows the result
-- and how much faster the first one was. Ends with status 1 if they differ.
--
--   lua5.4 examples/demo.lua [arguments of wordcount.lua]

local go = require("goroutines")
local here = arg[0]:match("^.*/") or ""
local common = dofile(here .. "wordcount_common.lua")

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local arguments = #arg > 0 and arg or { "--megabytes", "200" }

-- Whichever program comes first must not be the one that waits for the disk.
local function read_once(files)
  for _, file in ipairs(files) do
    local handle <close> = assert(io.open(file.path, "rb"))
    handle:read("a")
  end
end

local function command(script)
  local words = { interpreter(), here .. script, table.unpack(arguments) }
  for i, word in ipairs(words) do words[i] = common.shell_quoted(word) end
  return table.concat(words, " ")
end

-- Returns what the script prints and how many seconds it took.
local function run(script)
  local start = go.now()
  local pipe = assert(io.popen(command(script)))
  local output = pipe:read("a")
  if not pipe:close() then os.exit(1) end
  return output, go.now() - start
end

read_once(common.plan(common.options(arguments)))
print(("wordcount.lua, %d processors:"):format(go.procs()))
local output, seconds = run("wordcount.lua")
print("wordcount_sequential.lua ...\n")
local expected, sequential_seconds = run("wordcount_sequential.lua")
print(output)

if output ~= expected then
  print("MISMATCH: wordcount_sequential.lua printed\n\n" .. expected)
  os.exit(1)
end
print(("sequential %.2f s, parallel %.2f s: %.2f times as fast, same result")
  :format(sequential_seconds, seconds, sequential_seconds / seconds))
