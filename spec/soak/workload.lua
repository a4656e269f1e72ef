-- A long mixed workload, whose digests must be the same wherever it runs. With
-- GOROUTINES in the environment it runs in so many goroutines at once, with
-- slices of 100 microseconds; without, in plain Lua. SCALE is how much of it.

local function work(seed, scale, mode)
  collectgarbage(mode)
  local state = seed
  local function random(n) -- the stock one is seeded differently
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return state % n + 1
  end
  local function digest(...)
    local sum = 17
    for i = 1, select("#", ...) do
      local text = tostring((select(i, ...)))
      for j = 1, #text do
        sum = (sum * 31 + text:byte(j)) & 0xffffffff
      end
    end
    return sum
  end

  local parts = {}

  function parts.patterns()
    local words = {}
    for i = 1, 300 do
      words[i] = ("%s%d=%x;"):format(("abc"):rep(i % 5), i, random(1000))
    end
    local text = table.concat(words, " ")
    local count, keys = 0, {}
    for key, value in text:gmatch("(%a*%d+)=(%x+);") do
      count = count + tonumber(value, 16)
      keys[#keys + 1] = key
    end
    local swapped, n = text:gsub("(%w+)=(%w+)", "%2=%1")
    local upper = text:gsub("%a+", { abc = "X" }):gsub("%d", function(d)
      return d == "7" and "seven" or nil
    end)
    return count, #keys, swapped, n, upper, text:find("b+c%f[%d]")
  end

  function parts.sorting()
    local list = {}
    for i = 1, 500 do
      list[i] = { key = random(100), order = i }
    end
    table.sort(list, function(a, b)
      if a.key ~= b.key then return a.key < b.key end
      return a.order < b.order
    end)
    local keys = {}
    for i, item in ipairs(list) do
      keys[i] = item.key * 1000 + item.order
    end
    local moved = table.move(keys, 1, 250, 400, {})
    return table.concat(keys, ","), #moved, select("#", table.unpack(keys, 1, 200))
  end

  function parts.coroutines()
    local function permutations(list, n)
      if n == 0 then
        coroutine.yield(table.concat(list))
      end
      for i = 1, n do
        list[i], list[n] = list[n], list[i]
        permutations(list, n - 1)
        list[i], list[n] = list[n], list[i]
      end
    end
    local sum, closed = 0, 0
    for text in coroutine.wrap(function() permutations({ 1, 2, 3, 4, 5 }, 5) end) do
      sum = (sum * 7 + tonumber(text)) % 1000003
    end
    for i = 1, 50 do
      local co = coroutine.create(function(a)
        local _ <close> = setmetatable({}, { __close = function()
          closed = closed + 1
        end })
        while true do a = a + coroutine.yield(a * 2) end
      end)
      local _, x = coroutine.resume(co, i)
      local _, y = coroutine.resume(co, x)
      sum = sum + y
      if i % 2 == 0 then coroutine.close(co) end
    end
    return sum, closed
  end

  function parts.closures()
    local functions, shared = {}, 0
    for i = 1, 200 do
      local own = i
      functions[i] = function(n)
        own, shared = own + n, shared + 1
        return own
      end
    end
    local sum = 0
    for _ = 1, 1000 do
      sum = sum + functions[random(200)](random(10))
    end
    return sum, shared
  end

  function parts.jumps()
    local i, found = 0, {}
    ::next::
    i = i + 1
    for j = 2, i - 1 do
      if i % j == 0 then goto next end
    end
    if i < 500 then
      found[#found + 1] = i
      goto next
    end
    return table.concat(found, " ")
  end

  function parts.metamethods()
    local Vector = {}
    Vector.__index = Vector
    local function new(x, y) return setmetatable({ x = x, y = y }, Vector) end
    Vector.__add = function(a, b) return new(a.x + b.x, a.y + b.y) end
    Vector.__mul = function(a, k) return new(a.x * k, a.y * k) end
    Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
    Vector.__lt = function(a, b) return a.x < b.x end
    Vector.__le = function(a, b) return a.x <= b.x end
    Vector.__len = function(a) return a.x + a.y end
    Vector.__concat = function(a, b) return tostring(a) .. tostring(b) end
    Vector.__call = function(self, n) return self * n end
    Vector.__tostring = function(a) return a.x .. "/" .. a.y end
    Vector.__unm = function(a) return a * -1 end
    Vector.__close = function(a) a.x = 0 end
    local default = setmetatable({}, { __index = function(t, k)
      t[k] = k * 2
      return t[k]
    end })
    local sum, equal, less = new(0, 0), 0, 0
    for i = 1, 1000 do
      local v <close> = new(i, random(5))
      sum = -(-(sum + v(2)))
      equal = equal + (v == new(i, 3) and 1 or 0)
      less = less + ((v < sum and v <= sum) and 1 or 0)
      sum.x = sum.x + default[i % 50]
    end
    return sum .. sum, #sum, equal, less
  end

  function parts.text()
    local points = {}
    for i = 1, 200 do
      points[i] = utf8.char(random(0x7ff), 0x20ac, 0x10000 + random(1000))
    end
    local text = table.concat(points)
    local sum = 0
    for position, code in utf8.codes(text) do
      sum = (sum + position * code) & 0xffffffff
    end
    return utf8.len(text), sum, utf8.offset(text, 100), text:upper():lower():reverse():len()
  end

  function parts.packing()
    local sum = 0
    for i = 1, 300 do
      local packed = ("<i4>I2s1zdfj"):pack(-random(1e6), random(60000),
        ("x"):rep(i % 20), "zero", i / 3, 0.5, i * 1e9 // 1)
      sum = (sum * 31 + digest(("<i4>I2s1zdfj"):unpack(packed))) & 0xffffffff
    end
    return sum
  end

  function parts.numbers()
    local i, f, bits = 1, 1.0, 0x5555
    for n = 1, 5000 do
      i = (i * 6364136223846793005 + n) ~ (i >> 7)
      f = f + 1 / (n * n) - f % 0.125 + (n // 3.0) * 1e-6
      bits = (bits << 3 | bits >> 13) & 0xffff ~ n
    end
    return i, ("%.14g"):format(f), bits, i // 7, i % -13, -7 // 2, -7 % 2.5,
      math.tointeger(3.0), math.ult(i, bits), 7 // 0.0, math.type(2^53)
  end

  function parts.errors()
    local texts, closed = {}, 0
    local function fail(n)
      local _ <close> = setmetatable({}, { __close = function(_, err)
        closed = closed + (err and 1 or 0)
      end })
      if n == 0 then
        error(random(2) == 1 and { code = random(9) } or "text", 0)
      end
      fail(n - 1)
    end
    for i = 1, 100 do
      local ok, err = xpcall(fail, function(m)
        return type(m) == "table" and m.code or m .. i
      end, i % 7)
      texts[i] = tostring(ok) .. tostring(err)
    end
    local _, deep = pcall(string.rep, "x", -1)
    local _, arithmetic = pcall(function() return {} + 1 end)
    return table.concat(texts), closed, deep, (arithmetic:gsub("^.-:", ""))
  end

  function parts.garbage()
    local weak, finalized, kept = setmetatable({}, { __mode = "k" }), 0, {}
    for i = 1, 2000 do
      local object = setmetatable({ i }, { __gc = function()
        finalized = finalized + 1
      end })
      weak[object] = true
      if i % 100 == 0 then kept[#kept + 1] = object end
    end
    collectgarbage()
    collectgarbage()
    local left = 0
    for _ in pairs(weak) do left = left + 1 end
    return finalized, left, #kept
  end

  local names, total = {}, 0
  for name in pairs(parts) do names[#names + 1] = name end
  table.sort(names)
  local lines = {}
  for round = 1, scale do
    for _, name in ipairs(names) do
      total = (total * 33 + digest(parts[name]())) & 0xffffffff
      if round == scale then
        lines[#lines + 1] = name .. " " .. total
      end
    end
  end
  return table.concat(lines, "\n")
end

local MODES = { "incremental", "generational" }
local scale = tonumber(os.getenv("SCALE")) or 10
local count = tonumber(os.getenv("GOROUTINES"))

local results = {}
if count then
  local go = require("goroutines")
  go.configure({ time_slice = 0.0001 })
  local tasks = {}
  for i = 1, count do
    tasks[i] = go.spawn(work, (i + 1) // 2, scale, MODES[i % 2 + 1])
  end
  for i = 1, count do
    results[i] = select(2, assert(tasks[i]:join()))
  end
else
  for i = 1, 8 do
    results[i] = work((i + 1) // 2, scale, MODES[i % 2 + 1])
  end
end
for i = 1, 8 do
  print(i, results[i])
end
