-- Random values of every kind that can be sent arrive equal: the same scalars,
-- and a graph of the same shape, with one object there for each object here
-- (tables, functions, upvalues). Functions are called on both sides.
--
-- SPEC_SEED in the environment repeats a run; the seed is in the failure.

local go = require("goroutines")
local helper = require("spec.helper")

local random = math.random
local SEED = tonumber(os.getenv("SPEC_SEED")) or os.time() % 1000000
local COUNT = math.max(2000, 100000 // helper.within(1))
local IN_A_MESSAGE = 50

-- Values ----------------------------------------------------------------------

local make

local text_pool = {}
for i = 1, 4096 do
  text_pool[i] = string.char((i * 167 + i // 256 * 13) % 256)
end
text_pool = table.concat(text_pool)

local function text()
  local length = random(0, random(40) == 1 and 600 or 45)
  local from = random(#text_pool - length)
  return text_pool:sub(from, from + length - 1)
end

local handles = {}
local C_FUNCTIONS = { print, next, string.format, math.max, setmetatable }
local FLOATS = { 0.0, -0.0, 1 / 0, -1 / 0, 2^53, 2^63, 5e-324, 0.1 }
local INTEGERS = { math.maxinteger, math.mininteger, 0, 1, -1 }

-- What may also be a key.
local plain = {
  text, text,
  function() return random(2) == 1 end,
  function() return random(-3, 12) end,
  function() return random(0) end,
  function() return INTEGERS[random(#INTEGERS)] end,
  function() return FLOATS[random(#FLOATS)] end,
  function() return random() end,
  function() return handles[random(#handles)] end,
  function() return C_FUNCTIONS[random(#C_FUNCTIONS)] end,
}

-- What is made for one message: `objects` may be referred to again, `keys` are
-- those that are keys somewhere, `left` is how many values there may still be.
local world

local function put(object)
  world.objects[#world.objects + 1] = object
  return object
end

local function object_key(depth)
  local key = random(4) > 1 and world.objects[random(#world.objects)]
  if type(key) ~= "table" and type(key) ~= "function" then
    key = random(3) == 1 and put(function() return key end)
      or put({ make(depth + 1) })
  end
  world.keys[#world.keys + 1] = key
  return key
end

local function random_table(depth)
  local t = put({})
  local kind = random(4)
  if kind ~= 1 then
    for i = 1, random(0, 4) do
      t[i] = make(depth + 1)
    end
  end
  if kind ~= 2 then
    for _ = 1, random(0, 3) do
      t[plain[random(#plain)]()] = make(depth + 1)
    end
  end
  if random(12) == 1 then
    t[object_key(depth)] = make(depth + 1)
  end
  if random(10) == 1 then
    local meta = world.objects[random(#world.objects)]
    setmetatable(t, type(meta) == "table" and meta
      or put({ __index = make(depth + 1), make(depth + 1) }))
  end
  return t
end

local function deep_table()
  local t = put({ 1 })
  local how = random(3)
  for i = 1, random(80, 250) do
    if how == 1 then
      t = { t, i }
    elseif how == 2 then
      t = { inner = t }
    else
      t = setmetatable({ i }, t)
    end
  end
  return put(t)
end

local functions = {
  function(depth) -- one that gives what it captured
    local a, b = make(depth + 1), make(depth + 1)
    return put(function() return a, b end)
  end,
  function() -- a counter of which each call shows in the others
    local n = random(100)
    local function up()
      n = n + 1
      return n
    end
    put(function() return n * 2 end)
    put(up)
    return put(function() return up(), n end)
  end,
  function(depth) -- one that captured itself
    local object = make(depth + 1)
    local function own(n)
      if n == 0 then
        return object
      end
      return own, own(n and n - 1 or 3)
    end
    return put(own)
  end,
  function() -- a new one that has the variables of another's
    local total = 0.5
    local function adder(x)
      return put(function()
        total = total + x
        return total, x
      end)
    end
    return random(2) == 1 and adder(random(9)) or { adder(1), adder(2) }
  end,
  function() -- of C, with upvalues
    return put(package.searchers[random(#package.searchers)])
  end,
}

function make(depth)
  world.left = world.left - 1
  local kind = random(16)
  if kind <= 2 and #world.objects > 0 then
    return world.objects[random(#world.objects)]
  elseif kind <= 8 or world.left < 0 or depth > 8 then
    return plain[random(#plain)]()
  elseif kind == 9 then
    return 0 / 0
  elseif kind <= 11 then
    return functions[random(#functions)](depth)
  elseif random(1000) == 1 then
    return deep_table()
  end
  return random_table(depth)
end

-- Puts the value so deep that what is in it is around the depth from which on the
-- content of tables and functions is sent later.
local function put_deep(value)
  for _ = 1, random(90, 103) do
    local inner = value
    value = put(random(2) == 1 and { inner } or function() return inner end)
  end
  return value
end

-- The values of a message, and after them the objects that are keys in them.
local function random_message()
  world = { objects = {}, keys = {} }
  put(world.objects)
  world.objects[1] = {}
  local values = {}
  for i = 1, IN_A_MESSAGE do
    world.left = 4 ^ random(0, 3)
    values[i] = make(1)
    if random(100) == 1 then
      values[i] = put_deep(values[i])
    end
  end
  values[#values + 1] = world.keys
  return values
end

-- Comparison ------------------------------------------------------------------

local compare

local function readable(value)
  return (tostring(value):gsub("[^%g ]", function(byte)
    return ("\\x%02X"):format(byte:byte())
  end))
end

local function differ(path, what, a, b)
  local places = {}
  while path do
    table.insert(places, 1, readable(path.at))
    path = path.outer
  end
  error(("%s differs at %s: %s here, %s there"):format(what,
    table.concat(places, " / "), readable(a), readable(b)), 0)
end

-- True if the pair was met before. Each has one partner only.
local function met(pairs_met, a, b, path)
  if pairs_met.here[a] == nil and pairs_met.there[b] == nil then
    pairs_met.here[a], pairs_met.there[b] = b, a
    return false
  end
  if not rawequal(pairs_met.here[a], b) then
    differ(path, "sharing", a, b)
  end
  return true
end

local function compare_numbers(a, b, path)
  if math.type(a) ~= math.type(b) or (a ~= b and (a == a or b == b))
    or (a == 0 and 1 / a ~= 1 / b) then
    differ(path, "a number", a, b)
  end
end

local function compare_tables(m, a, b, path)
  local count = 0
  for key, value in next, a do
    local is_object = type(key) == "table" or type(key) == "function"
    local other = is_object and m.objects.here[key]
    if other == nil or other == false then
      other = key
    end
    compare(m, value, rawget(b, other), { outer = path, at = key })
    count = count + 1
  end
  for _ in next, b do
    count = count - 1
  end
  if count ~= 0 then
    differ(path, "the count of keys", a, b)
  end
  compare(m, debug.getmetatable(a), debug.getmetatable(b),
    { outer = path, at = "metatable" })
end

local function compare_results(m, path, a, b)
  if a.n ~= b.n then
    differ(path, "the number of results", a.n, b.n)
  end
  for i = 1, a.n do
    compare(m, a[i], b[i], { outer = path, at = "result " .. i })
  end
end

local function compare_upvalues(m, a, b, path)
  local count = debug.getinfo(a, "u").nups
  if count ~= debug.getinfo(b, "u").nups then
    differ(path, "the number of upvalues", a, b)
  end
  for i = 1, count do
    local name, value = debug.getupvalue(a, i)
    local other_name, other = debug.getupvalue(b, i)
    local at = { outer = path, at = "upvalue " .. name }
    if name ~= other_name then
      differ(at, "a name", name, other_name)
    end
    met(m.upvalues, debug.upvalueid(a, i), debug.upvalueid(b, i), at)
    if name ~= "_ENV" then
      compare(m, value, other, at)
    end
  end
end

local function compare_functions(m, a, b, path)
  compare_upvalues(m, a, b, path)
  if debug.getinfo(a, "S").what ~= "C" then
    compare_results(m, path, table.pack(a()), table.pack(b()))
  end
end

local function is_module(object)
  return object == _G or object == package or object == go
end

function compare(m, a, b, path)
  local kind = type(a)
  if kind ~= type(b) then
    differ(path, "the type", a, b)
  elseif kind == "number" then
    compare_numbers(a, b, path)
  elseif rawequal(a, b) then
    if kind == "table" and not is_module(a) then
      differ(path, "nothing, no copy was made:", a, b)
    end
  elseif kind == "table" then
    if not met(m.objects, a, b, path) then
      compare_tables(m, a, b, path)
    end
  elseif kind == "function" then
    if not met(m.objects, a, b, path) then
      compare_functions(m, a, b, path)
    end
  else
    differ(path, "a " .. kind, a, b)
  end
end

local function compare_messages(a, b)
  local m = {
    objects = { here = {}, there = {} },
    upvalues = { here = {}, there = {} },
  }
  -- The keys first, so that each is known when a table has it. All of them
  -- have to be paired before any is looked into.
  local keys, others, list = a[#a], b[#b], { at = "keys" }
  local new = {}
  for i, key in ipairs(keys) do
    if type(others[i]) ~= type(key) then
      differ(list, "a key", key, others[i])
    elseif not met(m.objects, key, others[i], list) then
      new[key] = others[i]
    end
  end
  for key, other in pairs(new) do
    (type(key) == "table" and compare_tables or compare_functions)(
      m, key, other, list)
  end
  compare(m, a, b, { at = "message" })
end

-- The test --------------------------------------------------------------------

-- Two ways: out of a buffered channel here, or by another state, too.
local function each_message(send_and_receive)
  math.randomseed(SEED)
  for i = 1, COUNT // IN_A_MESSAGE do
    local values = random_message()
    local ok, message = xpcall(function()
      compare_messages(values, send_and_receive(i, values))
    end, debug.traceback)
    if not ok then
      error(("SPEC_SEED=%d message %d: %s"):format(SEED, i, message), 0)
    end
  end
end

describe("any value", function()
  it("arrives as a graph of the same shape", function()
    handles = { go.chan(), go.chan(1), go.self(), go.timer(1000, print) }
    local direct, there, back = go.chan(1), go.chan(1), go.chan(1)
    go(function()
      for values in there do
        back:send(values)
      end
    end)
    each_message(function(i, values)
      local out = i % 2 == 0 and direct or there
      out:send(values)
      return (i % 2 == 0 and direct or back):recv()
    end)
    there:close()
    handles[4]:stop()
    handles, world = {}, nil
  end)
end)
