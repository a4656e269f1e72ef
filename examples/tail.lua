-- Prints a file and then what is added to it, also when it is truncated or another
-- one takes its place, as `tail -n +1 -F` does. Ctrl-C stops it.
--
--   lua5.4 examples/tail.lua file

local go = require("goroutines")

local path = arg[1] or error("usage: tail.lua file", 0)
local dir, name = path:match("^(.*/)([^/]+)$")
local stop = go.signal("INT", "TERM")

-- The folder, for the file may come and go; and before the first look at it.
local changes = assert(go.fs.watch(dir or "."))
local file, number

-- The file that has the name now, and its number.
local function open_file()
  while true do
    local before = go.fs.stat(path)
    local opened = before and go.fs.open(path)
    if not opened then return end
    local after = go.fs.stat(path)
    if after and after.ino == before.ino then return opened, before.ino end
    opened:close() -- it has just been replaced
  end
end

local function print_rest()
  for data in file:lines("s") do go.stdout:write(data) end
end

-- Looks at everything anew: of many changes at once not every one is told.
local function look()
  local info = go.fs.stat(path)
  if file then
    if info and info.ino == number and info.size < file:seek() then
      file:seek("set") -- truncated
    end
    print_rest()
  end
  -- An open file's number is not given to another one.
  if info and info.ino ~= number then
    if file then file:close() end
    file, number = open_file()
    if file then print_rest() end
  end
end

look()
while true do
  local case, change = go.select(changes, stop)
  if case == 2 then break end
  if change.name == (name or path) then look() end
end
