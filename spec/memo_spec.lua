-- What a state remembers of the functions that it starts goroutines with must
-- not show: each start is as the first.

local go = require("goroutines")
local helper = require("spec.helper")

local function result(f, ...)
  return select(2, assert(go.spawn(f, ...):join()))
end

describe("a function that has started goroutines before", function()
  it("is not taken for another that lies where it was", function()
    for i = 1, 500 do
      local f = assert(load(("return %d + 0 * #'%d'"):format(i, i)))
      assert.equal(i, result(f))
      assert.equal(i, result(f))
      f = nil -- luacheck: ignore
      if i % 50 == 0 then collectgarbage() end
    end
  end)

  it("is not taken for another although all garbage is collected at once", function()
    local mode = collectgarbage("generational")
    for i = 1, 300 do
      local f = assert(load(("local a = ... return a .. '%d'"):format(i)))
      for _ = 1, 3 do
        assert.equal("x" .. i, result(f, "x"))
      end
      f = nil -- luacheck: ignore
      collectgarbage("step")
    end
    collectgarbage(mode)
  end)

  it("has the upvalues of each closure", function()
    local function make(a)
      local b = { a }
      return function(c) b[#b + 1] = c return a, #b, b[1] end
    end
    for i = 1, 20 do
      local f = make(i)
      for _ = 1, 2 do
        assert.same({ true, i, 2, i }, { go.spawn(f, "c"):join() })
      end
    end
  end)

  it("has the environment of each closure", function()
    local text = "return memo_name, type(print)"
    local own = { memo_name = "own", type = type }
    local inheriting = setmetatable({ memo_name = "inheriting" }, { __index = _G })
    _G.memo_name = "global" -- luacheck: ignore
    local function make(environment)
      local f = assert(load(text))
      debug.setupvalue(f, 1, environment)
      return f
    end
    -- Closures of one function, each with an environment of its own.
    local function wrap(_ENV) -- luacheck: ignore
      return function() return memo_name, type(print) end -- luacheck: ignore
    end
    for _ = 1, 5 do
      for _, f in ipairs({ make, wrap }) do
        assert.equal("global", result(f(_G)))
        assert.same({ true, "own", "nil" }, { go.spawn(f(own)):join() })
        assert.same({ true, "inheriting", "function" }, { go.spawn(f(inheriting)):join() })
      end
    end
    _G.memo_name = nil -- luacheck: ignore
  end)

  it("has the globals of that moment", function()
    local function f() return memo_value, memo_other end -- luacheck: ignore
    for i = 1, 5 do
      memo_value = i -- luacheck: ignore
      assert.same({ true, i, nil }, { go.spawn(f):join() })
    end
    memo_value = coroutine.create(print) -- luacheck: ignore
    for _ = 1, 2 do
      local ok, err = go.spawn(f):join()
      assert.is_false(ok)
      assert.matches("global 'memo_value' is not here: cannot send a coroutine", err)
    end
    memo_value, memo_other = nil, function() return memo_value end -- luacheck: ignore
    local _, _, other = go.spawn(f):join()
    assert.is_function(other)
    memo_value, memo_other = nil, nil -- luacheck: ignore
  end)

  it("has what the libraries have been given by then", function()
    local function trim(s) return s:memo_trim() end
    local function pack(t) return table.memo_count(t) end -- luacheck: ignore
    for _ = 1, 3 do
      assert.is_false((go.spawn(trim, " x "):join()))
      assert.is_false((go.spawn(pack, { 1, 2 }):join()))
    end
    string.memo_trim = function(s) return (s:gsub("%s", "")) end -- luacheck: ignore
    table.memo_count = function(t) return #t end -- luacheck: ignore
    for _ = 1, 3 do
      assert.equal("x", result(trim, " x "))
      assert.equal(2, result(pack, { 1, 2 }))
    end
    string.memo_trim, table.memo_count = nil, nil -- luacheck: ignore
    assert.is_false((go.spawn(trim, " x "):join()))
    assert.is_false((go.spawn(pack, { 1, 2 }):join()))
  end)

  it("has what the libraries have, reached through another function", function()
    function memo_helper(t) return table.memo_sum(t) end -- luacheck: ignore
    table.memo_sum = function(t) return t[1] + t[2] end -- luacheck: ignore
    local function f(t) return memo_helper(t) end -- luacheck: ignore
    for _ = 1, 3 do
      assert.equal(3, result(f, { 1, 2 }))
    end
    memo_helper, table.memo_sum = nil, nil -- luacheck: ignore
  end)

  it("looks for modules where the program does by then", function()
    local path, preload = package.path, package.preload
    local function paths() return package.path end
    local function module() return require("memo_module").value end
    for _ = 1, 3 do
      assert.equal(path, result(paths))
    end
    package.path = "./elsewhere/?.lua;" .. path
    assert.equal(package.path, result(paths))
    package.path = path
    assert.equal(path, result(paths))
    for i = 1, 3 do
      preload.memo_module = assert(load(("return { value = %d }"):format(i)))
      assert.equal(i, result(module))
    end
    preload.memo_module = nil
    table.insert(package.searchers, 2, function(name)
      return name == "memo_module" and function() return { value = "found" } end
    end)
    assert.equal("found", result(module))
    table.remove(package.searchers, 2)
    assert.is_false((go.spawn(module):join()))
  end)

  it("looks for modules where the program does, however it changes that", function()
    local output = helper.output({ [[
      local go = require("goroutines")
      local path, cpath, searchers = package.path, package.cpath, package.searchers
      local function nothing() end
      local function mine(name)
        return name == "of_mine" and function() return true end or nil
      end
      local function look()
        local found, is_mine = pcall(require, "of_mine")
        return package.path, package.cpath, #package.searchers, found and is_mine
      end
      local function has_mine()
        for _, searcher in ipairs(package.searchers) do
          if searcher == mine then return true end
        end
        return false
      end
      local function check(what)
        for _ = 1, 3 do
          local _, path_there, cpath_there, count, is_mine =
            assert(go.spawn(look):join())
          if path_there ~= package.path or cpath_there ~= package.cpath
            or count ~= #package.searchers or is_mine ~= has_mine() then
            print(what, path_there, cpath_there, count, is_mine)
          end
        end
      end
      local function forget_and_fill(t, key)
        local value = t[key]
        t[key] = nil
        for i = 1, 100 do t["filler" .. i] = i end -- moves all keys
        for i = 1, 100 do t["filler" .. i] = nil end
        t[key] = value
      end
      check("as it is")
      package.path = "./x/?.lua"
      check("another path")
      package.cpath = "./x/?.so"
      check("another cpath")
      package.path, package.cpath = path, cpath
      check("as before")
      forget_and_fill(package, "path")
      check("other places in package")
      package.path = "./y/?.lua"
      check("another path at another place")
      package.path = path
      for i = 1, 100 do package.loaded["module" .. i] = i end
      check("other places in package.loaded")
      package.cpath = "./y/?.so"
      check("another cpath with more modules")
      package.cpath = cpath
      check("as before with more modules")
      searchers[5] = mine
      check("one searcher more")
      searchers[5] = nil
      check("the usual searchers in a longer table")
      package.searchers = { table.unpack(searchers) }
      check("a copy of the searchers")
      package.searchers = { searchers[1], mine, searchers[3], searchers[4] }
      check("another searcher")
      package.searchers[2] = nothing
      check("again another one")
      package.searchers[2] = searchers[2]
      check("the usual searcher again")
      package.searchers.more = true
      check("a field among the searchers")
      package.searchers[4] = nil
      check("a searcher less")
      package.searchers = searchers
      check("all as it was")
      for i = 1, 50 do
        package.path = ("./%d/?.lua"):format(i)
        collectgarbage()
        check("path " .. i)
      end
      print("done")
    ]] })
    assert.equal("done\n", output)
  end)

  it("is stripped, large, or holds others", function()
    local stripped = assert(load(string.dump(function(x) return x + 1 end, true)))
    local parts = {}
    for i = 1, 2000 do parts[i] = ("x = x + %d"):format(i) end
    local large = assert(load("local x = ... " .. table.concat(parts, " ") .. " return x"))
    local function outer(n)
      local function inner(i) return i * n end
      return inner(2), ("%d"):format(n)
    end
    for i = 1, 4 do
      assert.equal(i + 1, result(stripped, i))
      assert.equal(2001000 + i, result(large, i))
      assert.same({ true, 2 * i, tostring(i) }, { go.spawn(outer, i):join() })
    end
  end)

  it("starts them from goroutines, too", function()
    helper.each_procs({ 1, 2 }, function()
      local sum = result(function(n)
        local total = 0
        for i = 1, n do
          local function f(x) return x + i end
          total = total + select(2, assert(go.spawn(f, i):join()))
        end
        return total
      end, 100)
      assert.equal(10100, sum)
    end)
  end)

  it("is more than there are places for", function()
    local all = {}
    for i = 1, 300 do all[i] = assert(load("return " .. i)) end
    for _ = 1, 3 do
      for i, f in ipairs(all) do assert.equal(i, result(f)) end
    end
  end)

  -- In the small stack of a new coroutine, which has to grow, the collector works
  -- wherever it may.
  it("is not taken for one that a finalizer starts meanwhile", function()
    assert.equal("0\n", helper.output({ [[
      local go = require("goroutines")
      local others, runs, goes_on = {}, 0, true
      for i = 1, 300 do
        others[i] = assert(load(("return other_%d"):format(i)))
      end
      local function litter()
        setmetatable({}, { __gc = function()
          runs = runs + 1
          if runs % 13 == 0 then
            for _, f in ipairs(others) do go(f) end
          end
          if goes_on then litter() end
        end })
      end
      word = "found"
      local inheriting = setmetatable({}, { __index = _G })
      local f = assert(load("return word", "=f", "t", inheriting))
      collectgarbage("incremental", 1, 1000, 1)
      litter()
      local wrong = 0
      for _ = 1, 300 do
        local start = coroutine.wrap(function() return go.spawn(f) end)
        local _, value = assert(start():join())
        if value ~= "found" then wrong = wrong + 1 end
      end
      goes_on = false
      collectgarbage()
      print(wrong)
    ]] }))
  end)

  it("keeps nothing alive", function()
    local alive = setmetatable({}, { __mode = "k" })
    local function f_of(value) return function() return #value end end
    for _ = 1, 3 do
      local value = { 1, 2 }
      alive[value] = true
      assert.equal(2, result(f_of(value)))
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(alive))
  end)
end)
