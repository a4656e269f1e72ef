local generate = require("docs.generate")
local go = require("goroutines")
local helper = require("spec.helper")

local reference = generate.reference()

-- Metamethods that every handle has, and that need no entry.
local COMMON = {
  __gc = true, __index = true, __metatable = true, __name = true, __tostring = true,
}

local function keys(t)
  local list = {}
  for key in pairs(t) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

local function names(fields)
  local set = {}
  for _, field in ipairs(fields) do
    set[field.name] = true
  end
  return keys(set)
end

-- The methods of a handle; where fields are computed, a function has them.
local function methods(meta)
  local index = meta.__index or {}
  if type(index) == "function" then
    index = select(2, debug.getupvalue(index, 1))
  end
  return index
end

-- The operators of a metatable, as annotations call them.
local function operators(meta)
  local set = {}
  for key in pairs(meta) do
    if type(key) == "string" and not COMMON[key] then
      set[key:match("^__(.*)")] = true
    end
  end
  return keys(set)
end

-- What a class has of its own and by inheritance.
local function all_of(class, kind)
  local set = {}
  while class do
    for key, entry in pairs(class[kind]) do
      set[key] = entry
    end
    class = reference.classes[class.parent]
  end
  return set
end

-- The tables of functions in the module, by their class.
local function namespaces()
  local found = {}
  for name, entry in pairs(reference.classes.goroutines.members) do
    if entry.is_namespace then
      found[entry.type] = go[name]
    end
  end
  return found
end

-- One handle of each kind.
local function handles()
  local timer, ticker = go.timer(3600, print), go.ticker(3600)
  timer:stop()
  ticker:stop()
  local task = go.spawn({ name = "named" }, function() end)
  task:join()
  local listener = go.net.listen("127.0.0.1", 0)
  local conn = go.net.connect("127.0.0.1", listener:port())
  local process = go.process.spawn({ "true", stdin = "pipe", stdout = "pipe",
                                     stderr = "pipe" })
  return {
    go.chan(), go.chan():sending(1), task, timer, ticker, go.mutex(),
    go.mutex():guard(), go.rwmutex(), go.waitgroup(), go.once(),
    go.cond(go.mutex()), go.semaphore(1), go.barrier(1), go.atomic(), go.map(),
    go.group(),
    listener, conn, go.net.udp(), process, process.stdin,
    go.fs.open("README.md"),
  }
end

-- Calls `f` with every function's entry.
local function each_function(f)
  for _, section in ipairs(reference.sections) do
    for _, entry in ipairs(section.entries) do
      if entry.is_function then
        f(entry)
      end
    end
  end
end

local function each_example(f)
  for _, section in ipairs(reference.sections) do
    for _, entry in ipairs(section.entries) do
      if #entry.example > 0 then
        f(entry.title, table.concat(entry.example, "\n"))
      end
    end
  end
end

describe("the reference", function()
  it("has what the module exports, and nothing else", function()
    local class = reference.classes.goroutines
    assert.same(keys(go), keys(class.members))
    assert.same(operators(getmetatable(go)), keys(class.operators))
    for name, entry in pairs(class.members) do
      local expected = entry.is_function and "function"
        or entry.is_namespace and "table" or "userdata"
      assert.equal(expected, type(go[name]), name)
    end
  end)

  it("has what its tables of functions have", function()
    for class, functions in pairs(namespaces()) do
      assert.same(keys(functions), keys(reference.classes[class].members))
    end
  end)

  it("has the methods and operators of each handle", function()
    for _, handle in ipairs(handles()) do
      local meta = debug.getmetatable(handle)
      local class = reference.classes[meta.__name]
      assert.is_table(class, meta.__name)
      assert.same(keys(methods(meta)), keys(all_of(class, "members")),
        meta.__name)
      assert.same(operators(meta), keys(all_of(class, "operators")),
        meta.__name)
    end
  end)

  it("has the fields of each handle", function()
    for _, handle in ipairs(handles()) do
      local class = reference.classes[debug.getmetatable(handle).__name]
      for _, field in ipairs(class.fields) do
        assert.is_not_nil(handle[field.name], field.name)
      end
    end
  end)

  it("has no class with methods but those of handles", function()
    local known = { goroutines = true }
    for class in pairs(namespaces()) do
      known[class] = true
    end
    for _, handle in ipairs(handles()) do
      known[debug.getmetatable(handle).__name] = true
    end
    for name, class in pairs(reference.classes) do
      assert.is_true(known[name] or class.var == nil, name)
    end
  end)

  it("has the counters", function()
    local class = reference.classes["goroutines.stats"]
    local stats = go.stats()
    for _, key in ipairs({ "image_failure", "preload_failure" }) do
      assert.is_nil(stats[key]) -- which is there if something is not as usual
      stats[key] = ""
    end
    assert.same(keys(stats), names(class.fields))
  end)

  it("has the settings", function()
    local class = reference.classes["goroutines.settings"]
    go.configure({ init = function() end, preload = { "string" } })
    local now = go.configure()
    go.configure({ init = false, preload = false })
    assert.same(keys(now), names(class.fields))
  end)

  it("has the fields of a failure", function()
    local class = reference.classes["goroutines.failure"]
    local failures = go.chan(1)
    local _ <close> = helper.configure({ on_error = failures })
    go.spawn({ name = "named" }, error, "oops")
    helper.wait_until(function()
      collectgarbage()
      return #failures > 0
    end)
    assert.same(names(class.fields), keys(failures:recv()))
  end)

  it("has options of spawn that exist", function()
    local class = reference.classes["goroutines.spawn_options"]
    for _, field in ipairs(class.fields) do
      local _, message = pcall(go.spawn, { [field.name] = print }, print)
      assert.matches("option '" .. field.name .. "': ", message, 1, true)
    end
  end)

  it("has options of group that exist", function()
    local class = reference.classes["goroutines.group_options"]
    for _, field in ipairs(class.fields) do
      local _, message = pcall(go.group, { [field.name] = print })
      assert.matches("option '" .. field.name .. "': ", message, 1, true)
    end
  end)

  it("tells of each function what it needs", function()
    each_function(function(entry)
      assert.is_true(#entry.text > 0, entry.title)
      for _, part in ipairs({ "Waits", "Raises", "Go" }) do
        assert.is_table(entry.parts[part], entry.title .. ": " .. part)
      end
      local params = {}
      for i, param in ipairs(entry.params) do
        params[i] = param.name
        assert.not_equal("", param.text, entry.title .. ": " .. param.name)
      end
      assert.equal(entry.arguments, table.concat(params, ", "))
    end)
  end)

  it("is the page as it is in the repository", function()
    assert.is_nil(generate.check())
  end)
end)

describe("an example of the reference runs:", function()
  each_example(function(title, text)
    it(title, function()
      local script = 'local go = require("goroutines")\n' .. text
      assert.equal("", helper.output(script))
    end)
  end)
end)
