-- States of goroutines are copies of a ready one, and are let go without being
-- closed if nothing in them wants finalizing: no program can tell, but by time
-- and memory.

local go = require("goroutines")
local helper = require("spec.helper")
local scripts = require("spec.scripts")

-- How many states were copied, and let go, while `f` ran.
local function counted(f)
  local before = go.stats()
  f()
  local after = go.stats()
  return after.states_copied - before.states_copied,
    after.states_dropped - before.states_dropped
end

local function run(f, ...)
  local ok, value = go.spawn(f, ...):join()
  assert(ok, value)
  return value
end

describe("the state of a goroutine", function()
  it("is a copy", function()
    assert.is_nil(go.stats().image_failure)
    assert.equal(50, (counted(function()
      for _ = 1, 50 do
        run(function() return #_VERSION end)
      end
    end)))
  end)

  it("is built where a limit on its memory is lower than a copy needs", function()
    local copied = counted(function()
      local ok, err = go.spawn({ memory_limit = 9000 }, function() end):join()
      assert.is_false(ok)
      assert.equal("not enough memory", err)
    end)
    assert.equal(0, copied)
  end)

  it("has all functions of the standard libraries as in plain Lua", function()
    local file <close> = assert(io.open("spec/soak/libraries.lua"))
    local script = file:read("a")
    local plain = helper.output({ script })
    assert.is_nil(plain:find("not called", 1, true), plain)
    assert.is_true(#plain > 5000)
    local _, lines = plain:gsub("\n", "")
    local copied = helper.output({ script, env = { GOROUTINE = 1 } })
    local _, copied_lines = copied:gsub("\n", "")
    assert.equal(plain, copied)
    assert.equal(lines, copied_lines)
  end)

  it("has random numbers of its own", function()
    local seen = {}
    for _ = 1, 200 do
      local number = run(function() return math.random(0) end)
      assert.is_nil(seen[number])
      seen[number] = true
    end
  end)

  it("knows nothing of the one that had its memory before", function()
    for i = 1, 50 do
      assert.is_nil(run(function(n)
        local before = rawget(string, "left")
        rawset(string, "left", n)
        package.loaded.left, debug.getregistry().left = n, n
        getmetatable("").__index = function() return n end
        return before or package.loaded.left ~= n
      end, i) or nil)
    end
    assert.equal("ok", run(function() return ("OK"):lower() end))
  end)

  it("collects garbage as any other", function()
    local kb = run(function()
      local most = 0
      for mode = 1, 2 do
        collectgarbage(mode == 1 and "incremental" or "generational")
        for i = 1, 20000 do
          local t = { tostring(i), { i } }
          most = math.max(most, collectgarbage("count"), #t)
        end
      end
      _G.print, _G.string, _G.io = nil, nil, nil
      collectgarbage()
      collectgarbage()
      return most
    end)
    assert.is_true(kb < 3000, kb)
  end)
end)

describe("a state is let go", function()
  local function dropped(f, ...)
    local args = table.pack(...)
    local _, count = counted(function()
      run(f, table.unpack(args, 1, args.n))
    end)
    return count
  end

  it("when it has only computed", function()
    assert.equal(1, dropped(function()
      local t = {}
      for i = 1, 1000 do
        t[i] = { i }
      end
      return #t
    end))
  end)

  it("with handles, which are released", function()
    local baseline = helper.baseline()
    local ch = go.chan(1)
    assert.equal(1, dropped(function(c)
      c:send(go.chan())
      local mutex, own = go.mutex(), go.chan()
      return tostring(mutex) .. tostring(own)
    end, ch))
    ch:recv()
    ch = nil
    helper.check_baseline(baseline)
    assert.is_nil(ch)
  end)

  it("with handles that are garbage, of which the collector takes some", function()
    local baseline = helper.baseline()
    assert.equal(1000, (select(2, counted(function()
      for n = 1, 1000 do
        run(function(count)
          for _ = 1, count do
            go.chan()
          end
        end, n % 199)
      end
    end))))
    helper.check_baseline(baseline)
  end)

  it("with large strings", function()
    assert.equal(1, dropped(function()
      local parts = {}
      for i = 1, 100 do
        parts[i] = ("x"):rep(1000 + i)
      end
      return #table.concat(parts)
    end))
  end)
end)

describe("a finalizer runs exactly once", function()
  -- What is found in the channel after a goroutine has run f(channel, ...).
  local function finalized(f, ...)
    local out = go.chan(10000)
    go.spawn(f, out, ...):join()
    out:close()
    return helper.drain(out)
  end

  it("when the goroutine ends", function()
    assert.same({ "end" }, finalized(function(out)
      setmetatable({}, { __gc = function() out:send("end") end })
    end))
  end)

  it("where it was set on an object that is still in use", function()
    assert.same({ "global" }, finalized(function(out)
      _G.kept = setmetatable({}, { __gc = function() out:send("global") end })
      collectgarbage()
    end))
  end)

  it("in the reverse order", function()
    assert.same({ 3, 2, 1 }, finalized(function(out)
      local mt = { __gc = function(t) out:send(t.n) end }
      for n = 1, 3 do
        _G["kept" .. n] = setmetatable({ n = n }, mt)
      end
    end))
  end)

  it("of an object that is made in a finalizer", function()
    assert.same({ "outer", "inner" }, finalized(function(out)
      setmetatable({}, { __gc = function()
        _G.kept = setmetatable({}, { __gc = function() out:send("inner") end })
        out:send("outer")
      end })
      collectgarbage()
    end))
  end)

  it("beside handles and large strings", function()
    assert.same({ "one" }, finalized(function(out)
      _G.kept = { go.chan(), go.mutex(), ("x"):rep(100000) }
      _G.more = setmetatable({}, { __gc = function() out:send("one") end })
      _G.kept[4] = { go.chan(), ("y"):rep(100000):upper() }
    end))
  end)

  it("that the standard files have been given", function()
    assert.equal("file\nfile\nfile\n", helper.output([[
      require("goroutines").spawn(function()
        getmetatable(io.stdout).__gc = function() print("file") end
      end):join()
    ]]))
  end)

  it("that has raised an error", function()
    assert.same({ "second", "first" }, finalized(function(out)
      _G.kept1 = setmetatable({}, { __gc = function() out:send("first") end })
      _G.kept2 = setmetatable({}, { __gc = function() error("in it") end })
      _G.kept3 = setmetatable({}, { __gc = function() out:send("second") end })
    end))
  end)

  it("after go.exit and after an error", function()
    local function with(out, how)
      _G.kept = setmetatable({}, { __gc = function() out:send(how) end })
      if how == "exit" then
        go.exit()
      end
      error(how)
    end
    assert.same({ "exit" }, finalized(with, "exit"))
    assert.same({ "error" }, finalized(with, "error"))
  end)

  it("of files, which are closed", function()
    local path = os.tmpname()
    for _ = 1, 100 do
      run(function(name) _G.kept = assert(io.open(name, "a")):write("x") and 1 end,
        path)
    end
    local file <close> = assert(io.open(path))
    assert.equal(("x"):rep(100), file:read("a"))
    os.remove(path)
  end)

  it("of a C module", function()
    local function count_descriptors()
      local count = 0
      for _ in require("lfs").dir("/proc/self/fd") do
        count = count + 1
      end
      return count
    end
    local before = run(count_descriptors)
    for _ = 1, 50 do
      run(function() _G.kept = { require("lfs").dir("/") } end)
    end
    assert.is_true(run(count_descriptors) < before + 20)
  end)

  it("and what it makes at the end is released", function()
    local baseline = helper.baseline()
    for _ = 1, 20 do
      go.spawn(function()
        _G.kept = setmetatable({}, { __gc = function()
          _G.more = { go.mutex(), go.chan(), pcall(go.with_timeout, 0, go.yield) }
        end })
      end):join()
    end
    helper.check_baseline(baseline)
  end)

  it("where go.exit is refused, for the goroutine has ended", function()
    local ok, value = go.spawn(function()
      _G.kept = setmetatable({}, { __gc = function() go.exit(1) end })
      return 5
    end):join()
    assert.same({ true, 5 }, { ok, value })
    assert.equal("done\n", helper.output([[
      local go = require("goroutines")
      kept = setmetatable({}, { __gc = function() go.exit() end })
      print("done")
      go.exit()
    ]]))
  end)

  it("of a handle, which a program cannot call or change", function()
    assert.equal("goroutines.chan", run(function() return getmetatable(go.chan()) end))
    local baseline = helper.baseline()
    for _ = 1, 100 do
      go.spawn(function()
        _G.kept = setmetatable({}, { __gc = function()
          local ch = go.chan()
          debug.getmetatable(ch).__gc(ch)
        end })
      end):join()
    end
    helper.check_baseline(baseline)
  end)

  it("in each of a hundred thousand goroutines", function()
    local many = helper.within(1) > 1 and 2000 or 100000
    local finalizers, bodies = go.atomic(), go.atomic()
    local function body(n)
      bodies:add(1)
      local value = setmetatable({}, { __gc = function() finalizers:add(1) end })
      if n % 3 == 0 then
        _G.kept = value
      elseif n % 3 == 1 then
        value = nil
        collectgarbage()
      end
      return value == nil
    end
    local group = go.group({ limit = 64 })
    for n = 1, many do
      group:spawn(body, n)
    end
    group:wait()
    assert.equal(many, bodies:load())
    assert.equal(many, finalizers:load())
  end)
end)

describe("a call that uses the base library only", function()
  -- In a process of its own: test frameworks change where modules are found,
  -- which a goroutine has to be told.
  local PREAMBLE = scripts.PREAMBLE .. [[
    -- Of the state, in KB; the function itself is one that needs nothing else.
    local function lean(f, ...)
      local count = run(f, ...)
      assert(count < 20, count)
    end
    local function full(f, ...)
      local count = run(f, ...)
      assert(count > 25, count)
    end
  ]]

  local function check(script)
    scripts.check(PREAMBLE, script)
  end

  it("gets a lean state", function()
    check([==[
      local ch, limit = go.chan(1), 7
      lean(function() return collectgarbage("count") end)
      lean(function(c, t)
        c:send(limit + #t)
        for _, v in ipairs(t) do
          assert(pcall(tostring, v))
        end
        go.yield()
        return collectgarbage("count")
      end, ch, { 1, "two", { 3 } })
    ]==])
  end)

  it("gets a full one where it mentions anything else", function()
    check([==[
      full(function() return collectgarbage("count"), string end)
      full(function() return collectgarbage("count"), _G end)
      full(function() return collectgarbage("count"), load end)
      full(function() return collectgarbage("count"), getmetatable end)
      full(function()
        local function inner() return require end
        return collectgarbage("count"), inner
      end)
      full(function(name) return collectgarbage("count"), _ENV[name] end, "x")
      full(function()
        os = nil
        return collectgarbage("count")
      end)
      full(function(s) return collectgarbage("count"), s end, string)
      full(function(f) return collectgarbage("count"), f end, string.rep)
      full(function(f) return collectgarbage("count"), f end,
        function() return math end)
    ]==])
  end)

  it("gets the rest when it needs a method of strings", function()
    check([==[
      equal("xxx", run(function(s) return s:rep(3) end, "x"))
      equal(3, run(function(s, k) return s[k](s) end, "abc", "len"))
      equal(nil, run(function(s) return s.nothing end, "abc"))
      equal("ABC", run(function(s)
        local t = setmetatable({}, { __index = s })
        return t.upper(s)
      end, "abc"))
      local ok, err = go.spawn(function(s) return s:nothing() end, "abc"):join()
      assert(not ok)
      assert(err:find("attempt to call a nil value (method 'nothing')", 1, true))
    ]==])
  end)

  it("does arithmetic on strings", function()
    check([==[
      equal(11, run(function() return "10" + 1 end))
      equal(3, run(function() return "7" // 2 end))
      equal(-2, run(function() return -"2" end))
      assert(not go.spawn(function() return "x" + 1 end):join())
    ]==])
  end)

  it("gets the rest when it is sent code", function()
    check([==[
      local function call(c)
        local f = c:recv()
        return type(f) == "table" and f[1]() or f()
      end
      local function send(value)
        local ch = go.chan(1)
        local task = go.spawn(call, ch)
        ch:send(value)
        local ok, result = task:join()
        assert(ok, result)
        return result
      end
      equal("ab", send(function() return ("AB"):lower() end))
      equal("integer", send(function() return math.type(1) end))
      equal("table", send(function() return type(_G.package) end))
      equal("abab", send({ function() return string.rep("ab", 2) end }))
      local unpack = table.unpack
      equal(5, send(function() return unpack({ 5 }) end))
    ]==])
  end)

  it("gets the rest when it joins a task that returns code", function()
    check([==[
      equal("X", run(function(task)
        local _, f = task:join()
        return f("x")
      end, go.spawn(function() return function(s) return s:upper() end end)))
    ]==])
  end)

  it("keeps what it has changed meanwhile", function()
    check([==[
      local ch = go.chan(1)
      ch:send(function() return type(print) .. type(string.rep) .. type(x) end)
      equal("tablefunctionnumber", run(function(c)
        print, x = {}, 5
        return c:recv()()
      end, ch))
    ]==])
  end)

  it("has random numbers of its own when it gets the rest", function()
    check([==[
      local seen = {}
      for _ = 1, 50 do
        local ch = go.chan(1)
        ch:send(function() return math.random(0) end)
        local number = run(function(c) return c:recv()() end, ch)
        assert(not seen[number])
        seen[number] = true
      end
    ]==])
  end)

  it("starts goroutines that need more", function()
    check([==[
      equal("nn", run(function(f)
        local _, value = go.spawn(f):join()
        return value
      end, function() return string.rep("n", 2) end))
      equal("mm", run(function()
        local ch = go.chan()
        local task = go.spawn(function(c)
          return c:recv()("m")
        end, ch)
        ch:send(function(s) return s:rep(2) end)
        local _, value = task:join()
        return value
      end))
    ]==])
  end)

  it("runs the function of go.configure in a full one", function()
    assert.equal("done\n", helper.output([[
      local go = require("goroutines")
      go.configure({ init = function() prepared = string.rep("d", 1) end })
      print((select(2, go.spawn(function() return prepared .. "one" end):join())))
    ]]))
  end)
end)
