-- Groups: how long their tasks are kept.

local go = require("goroutines")
local helper = require("spec.helper")
local groups = require("spec.groups")

local fail, id = helper.fail, helper.id
local PROCS, wait = groups.PROCS, groups.wait

-- What is in memory more once `n` tasks with results have ended in a new group,
-- and then the results of `f(g)`. In a goroutine of its own, with whose state all
-- of it goes.
local function kept_after(options, n, take, f)
  local task = go.spawn(function()
    local before = go.stats().messages
    local g = go.group(options)
    for i = 1, n do
      g:spawn(id, i)
      if take then assert(g:completed()():join()) end
    end
    assert(g:wait())
    -- The last references go a moment after the wait.
    local function more()
      collectgarbage()
      return go.stats().messages - before
    end
    local since = go.now()
    while more() > 0 and go.now() - since < 0.05 do go.yield() end
    if f then return more(), f(g) end
    return more()
  end)
  return select(2, assert(task:join()))
end

describe("the option keep of a group", function()
  it("\"all\", the default, keeps what has ended for results", function()
    for _, options in ipairs({ {}, { keep = "all" } }) do
      for _, take in ipairs({ false, true }) do
        local kept, results = kept_after(options, 50, take, function(g)
          return #g:results()
        end)
        assert.is_true(kept > 45, kept)
        assert.equal(50, results)
      end
    end
  end)

  it("\"none\" keeps nothing", function()
    helper.each_procs(PROCS, function()
      for _, options in ipairs({ { keep = "none" }, { keep = "none", limit = 2 } }) do
        local kept = kept_after(options, 200)
        assert.is_true(kept <= 0, kept)
      end
    end)
  end)

  it("\"untaken\" keeps what completed has not given", function()
    helper.each_procs(PROCS, function()
      local options = { keep = "untaken", limit = 4 }
      local kept = kept_after(options, 100, true)
      assert.is_true(kept <= 0, kept)
      local sum
      kept, sum = kept_after(options, 20, false, function(g)
        local total = 0
        for task in g:completed() do total = total + select(2, task:join()) end
        return total
      end)
      assert.is_true(kept > 15, kept)
      assert.equal(210, sum)
    end)
  end)

  it("\"untaken\" gives each task once to those who wait for it", function()
    helper.each_procs(PROCS, function()
      local g, sum = go.group({ keep = "untaken" }), go.atomic()
      local gate = go.chan()
      g:spawn(function() gate:recv() return 0 end)
      local takers = {}
      for i = 1, 3 do
        takers[i] = go.spawn(function()
          for task in g:completed() do sum:add(select(2, task:join())) end
        end)
      end
      for i = 1, 100 do g:spawn(id, i) end
      gate:close()
      for i = 1, 3 do assert.is_true((takers[i]:join())) end
      assert.equal(5050, sum:load())
    end)
  end)

  it("keeps the first failure for wait", function()
    helper.each_procs(PROCS, function()
      for _, keep in ipairs({ "none", "untaken" }) do
        local g = go.group({ keep = keep, on_error = "collect" })
        for round = 1, 3 do
          g:spawn(id, 1):join()
          g:spawn(fail, round):join()
          for _ = 1, 10 do g:spawn(id, 2) end
          if keep == "untaken" then for _ in g:completed() do end end
          assert.equal(round, select(2, wait(g)))
          assert.is_true(wait(g))
        end
      end
    end)
  end)

  it("tells of further failures as of any task that nobody joins", function()
    local result = helper.lua({ [[
      local go = require("goroutines")
      local g = go.group({ keep = "none", on_error = "collect" })
      g:spawn({ name = "a" }, error, "told by wait", 0):join()
      local task = g:spawn({ name = "b" }, error, "joined", 0)
      task:join()
      g:spawn({ name = "c" }, error, "reported", 0)
      print((select(2, g:wait())))
    ]] })
    assert.equal("told by wait\n", result.stdout)
    assert.matches('"c": reported', result.stderr)
    assert.is_nil(result.stderr:find("told by wait") or result.stderr:find("joined"))
  end)

  it("leaves cancelling and closing as they are", function()
    helper.each_procs(PROCS, function()
      local n = go.atomic()
      do
        local g <close> = go.group({ keep = "none" })
        for _ = 1, 20 do g:spawn(function() go.yield() n:add(1) end) end
      end
      assert.equal(20, n:load())
      local g = go.group({ keep = "none" })
      local task = g:spawn(go.sleep, 3600)
      g:spawn(fail, "first")
      assert.equal("first", select(2, wait(g)))
      assert.equal("cancelled", task:status())
    end)
  end)

  it("is checked", function()
    for _, keep in ipairs({ "some", 1, true }) do
      local ok, err = pcall(go.group, { keep = keep })
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'group' %(option 'keep': \"all\", \"untaken\" or "
        .. "\"none\" expected%)", err)
    end
    local g = go.group({ keep = "none" })
    local taken = go.group({ keep = "untaken" })
    for name, of in pairs({ results = g, completed = g, ["results "] = taken }) do
      name = name:match("%a+")
      local ok, err = pcall(of[name], of)
      assert.is_false(ok)
      assert.matches("bad call of '" .. name .. "' %(the group does not keep its tasks%)", err)
    end
  end)
end)
