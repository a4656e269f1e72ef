-- Carries many bytes through one connection: both ends have them summed by a
-- program, the sums are equal, and memory does not grow.
--
--   lua5.4 spec/soak/carry.lua megabytes [megabytes it may grow]

local go = require("goroutines")

local MB, BLOCK = 1024 * 1024, 64 * 1024
local bytes, growth_max = tonumber(arg[1]) * MB, tonumber(arg[2] or 8) * MB

local function resident_bytes()
  return tonumber(go.fs.read_file("/proc/self/status"):match("VmRSS:%s*(%d+)")) * 1024
end

-- Bytes that do not repeat soon: a number before one of 64 blocks.
local function write_all(conn)
  local sum = assert(go.process.spawn({ "sha256sum", stdin = "pipe", stdout = "pipe" }))
  local blocks = {}
  for i = 1, 64 do
    local words = {}
    for j = 1, BLOCK // 8 - 1 do
      words[j] = string.pack("i8", math.random(0))
    end
    blocks[i] = table.concat(words)
  end
  for i = 1, bytes // BLOCK do
    local number, block = string.pack("i8", i), blocks[math.random(64)]
    assert(conn:write(number, block))
    assert(sum.stdin:write(number, block))
  end
  conn:shutdown()
  sum.stdin:close()
  return sum.stdout:read()
end

local function read_all(conn)
  local sum = assert(go.process.spawn({ "sha256sum", stdin = "pipe", stdout = "pipe" }))
  local got, first, most = 0, nil, 0
  for data in conn:lines("s") do
    got = got + #data
    assert(sum.stdin:write(data))
    if got > bytes // 4 then -- all that is needed is there by then
      first = first or resident_bytes()
      if math.random(100) == 1 then most = math.max(most, resident_bytes()) end
    end
  end
  most = math.max(most, resident_bytes())
  sum.stdin:close()
  assert(got == bytes, got)
  local line = sum.stdout:read()
  sum:wait()
  return line, most - first
end

local listener = assert(go.net.listen("127.0.0.1", 0))
local out = assert(go.net.connect("127.0.0.1", listener:port()))
local writer = go.spawn(write_all, out)
local reader = go.spawn(read_all, assert(listener:accept()))
local _, sent = assert(writer:join())
local _, got, growth = assert(reader:join())
assert(sent == got, "the sums differ")
assert(growth < growth_max, growth .. " bytes more at the end")
print(("%d MB carried, %d KB more at the end"):format(bytes // MB, growth // 1024))
