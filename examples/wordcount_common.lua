-- What the two word counters share: their options, the list of files, the
-- counting and the printed result. It is plain Lua and starts no goroutine.

local common = {}

local MEGABYTE = 1000000
local SNIFFED_BYTES = 4096

local USAGE = [[
usage: lua5.4 %s [--megabytes N] [--top N] [DIR...]
  --megabytes N  read the files over and over until N MB have been counted
  --top N        print the N most frequent words (20)
  DIR            directories to read (/usr/include)
]]

local function fail(message, ...)
  io.stderr:write("wordcount: ", message:format(...), "\n")
  os.exit(2)
end

local function positive(option, text)
  local n = tonumber(text)
  if not n or n <= 0 or n == math.huge then
    fail("%s: positive number expected, got '%s'", option, text or "nothing")
  end
  return n
end

local function positive_integer(option, text)
  return math.tointeger(positive(option, text))
    or fail("%s: whole number expected, got '%s'", option, text)
end

-- Returns { dirs =, top =, bytes = nil or how much to count }.
function common.options(arguments)
  local options = { dirs = {}, top = 20 }
  local i = 1
  while arguments[i] do
    local word = arguments[i]
    if word == "--help" then
      io.stdout:write(USAGE:format(arguments[0]))
      os.exit(0)
    elseif word == "--megabytes" then
      i = i + 1
      options.bytes = positive(word, arguments[i]) * MEGABYTE
    elseif word == "--top" then
      i = i + 1
      options.top = positive_integer(word, arguments[i])
    elseif word:find("^%-") then
      fail("unknown option '%s' (try --help)", word)
    else
      table.insert(options.dirs, word)
    end
    i = i + 1
  end
  if #options.dirs == 0 then options.dirs[1] = "/usr/include" end
  return options
end

function common.shell_quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function sorted_paths(dirs)
  local words = {}
  for i, dir in ipairs(dirs) do
    local exists, message = io.open(dir)
    if not exists then fail("cannot read %s", message) end
    exists:close()
    words[i] = common.shell_quoted(dir)
  end
  local find = "find -H " .. table.concat(words, " ") .. " -type f -print0"
  local paths = {}
  local pipe <close> = assert(io.popen(find))
  for path in pipe:read("a"):gmatch("[^\0]+") do table.insert(paths, path) end
  table.sort(paths)
  return paths
end

-- Returns nil for what is empty, unreadable or, having a zero byte, no text.
local function text_size(path)
  local file <close> = io.open(path, "rb")
  local start = file and file:read(SNIFFED_BYTES)
  if not start or start:find("\0", 1, true) then return nil end
  return file:seek("end")
end

local function text_files(dirs)
  local files, bytes = {}, 0
  for _, path in ipairs(sorted_paths(dirs)) do
    local size = text_size(path)
    if size then
      table.insert(files, { path = path, bytes = size })
      bytes = bytes + size
    end
  end
  if bytes == 0 then fail("no text in %s", table.concat(dirs, ", ")) end
  return files, bytes
end

-- What to count, as a list of { path =, bytes = }, and its bytes: every text
-- file once or, with options.bytes, over and over until these are reached.
function common.plan(options)
  local files, goal = text_files(options.dirs)
  goal = options.bytes or goal
  local plan, bytes = {}, 0
  while bytes < goal do
    local file = files[#plan % #files + 1]
    table.insert(plan, file)
    bytes = bytes + file.bytes
  end
  return plan, bytes
end

-- Adds the words of a file to counts, a table from words to numbers.
function common.count_file(path, counts)
  local file <close> = assert(io.open(path, "rb"))
  for word in file:read("a"):lower():gmatch("%a[%w_]*") do
    counts[word] = (counts[word] or 0) + 1
  end
end

local function comes_before(a, b, counts)
  return counts[a] > counts[b] or counts[a] == counts[b] and a < b
end

-- The n most frequent words, of equal ones the first in the alphabet.
local function most_frequent(counts, n)
  local top, least = {}, 0
  for word, count in pairs(counts) do
    if count >= least then
      local i = #top + 1
      while i > 1 and comes_before(word, top[i - 1], counts) do i = i - 1 end
      table.insert(top, i, word)
      top[n + 1] = nil
      least = top[n] and counts[top[n]] or 0
    end
  end
  return top
end

-- The checksum covers every word and does not depend on their order.
local function totals(counts)
  local words, distinct, checksum = 0, 0, 0
  for word, count in pairs(counts) do
    words, distinct = words + count, distinct + 1
    checksum = checksum + count * count * (#word << 8 | word:byte(-1))
  end
  return words, distinct, checksum
end

-- Equal counts of the same plan print the same text.
function common.print_result(counts, options, plan, bytes)
  for i, word in ipairs(most_frequent(counts, options.top)) do
    print(("%4d  %-32s %10d"):format(i, word, counts[word]))
  end
  print(("%d words, %d of them distinct (checksum %016x)")
    :format(totals(counts)))
  print(("%.1f MB in %d files"):format(bytes / MEGABYTE, #plan))
end

return common
