local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

local function wait(b, timeout)
  return b:wait(timeout)
end

describe("a barrier", function()
  it("lets all go on when all have come", function()
    local b = go.barrier(3)
    local first, second = blocked(wait, b), blocked(wait, b)
    assert.same({ nil, "timeout" }, { first:join(0.005) })
    assert.is_true(b:wait())
    assert.same({ true, true }, { first:join() })
    assert.same({ true, true }, { second:join() })
  end)

  it("does not keep one that is to be alone", function()
    assert.is_true(go.barrier(1):wait())
    assert.is_true(go.barrier(1):wait(0))
  end)

  it("begins anew each time", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local n, rounds = 5, 100
      local b, came, wg = go.barrier(n), go.atomic(), go.waitgroup()
      for _ = 1, n do
        wg:go(function()
          for round = 1, rounds do
            came:add(1)
            b:wait()
            assert(came:load() >= round * n)
            assert(came:load() <= (round + 1) * n)
          end
        end)
      end
      assert.is_true(wg:wait(20))
      assert.equal(rounds * n, came:load())
    end)
  end)

  it("has been left by one that times out", function()
    local b = go.barrier(2)
    for _, timeout in ipairs({ 0, -1, 0.002 }) do
      assert.same({ nil, "timeout" }, { b:wait(timeout) })
    end
    local task = helper.blocked_shortly(wait, b, 0.002)
    assert.same({ true, nil, "timeout" }, { task:join() })
    assert.same({ nil, "timeout" }, { b:wait(0.002) })
    task = blocked(wait, b)
    assert.is_true(b:wait(0))
    assert.is_true(task:join())
  end)

  it("is one and the same in all goroutines", function()
    local b = go.barrier(2)
    local _, text = go.spawn(tostring, b):join()
    assert.equal(tostring(b), text)
    assert.matches("^barrier: 0x", text)
  end)
end)
