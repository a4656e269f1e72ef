local go = require("goroutines")
local helper = require("spec.helper")

describe("go.configure", function()
  it("returns the settings, which begin as documented", function()
    assert.equal("report\tsignal\t0.01\tinteger\n", helper.output([[
      local go = require("goroutines")
      local now = go.configure()
      print(now.on_error, now.preempt, now.time_slice,
        math.type(now.stack_size))
    ]]))
  end)

  it("changes those that it is given", function()
    local before = go.configure()
    local ch = go.chan(1)
    do
      local _ <close> = helper.configure({ time_slice = 0.005, on_error = ch })
      local now = go.configure()
      assert.equal(0.005, now.time_slice)
      assert.is_true(now.on_error == ch)
      assert.equal(before.preempt, now.preempt)
    end
    assert.same(before, go.configure())
  end)

  it("holds for all goroutines, and may be called by any", function()
    local _ <close> = helper.configure({ time_slice = 0.010 })
    local task = go.spawn(function()
      go.configure({ time_slice = 0.005 })
      return go.configure().time_slice
    end)
    assert.same({ true, 0.005 }, { task:join() })
    assert.equal(0.005, go.configure().time_slice)
  end)

  it("gives goroutines that start later larger stacks", function()
    local _ <close> = helper.configure({ stack_size = 1024 * 1024 })
    assert.same({ true, 1 }, { go.spawn(function() return 1 end):join() })
  end)
end)
