local go = require("goroutines")
local helper = require("spec.helper")

-- Computes for some tens of milliseconds.
local function compute()
  local x = 0
  for i = 1, 5000000 do
    x = x + i % 7
  end
  return x
end

-- Values that go round a ring of goroutines; the task gives true in the end.
local function ring(size, rounds)
  local first = go.chan()
  local left = first
  for _ = 1, size do
    local right = go.chan()
    go(function(from, to)
      for v in from do
        to:send(v + 1)
      end
      to:close()
    end, left, right)
    left = right
  end
  return go.spawn(function(last)
    local v = 0
    for _ = 1, rounds do
      first:send(v)
      v = last:recv()
    end
    first:close()
    return v == size * rounds and last:recv() == nil
  end, left)
end

describe("go.procs", function()
  it("returns the number, and the old one when it sets it", function()
    local before = go.procs()
    assert.is_true(before >= 1)
    assert.equal("integer", math.type(before))
    assert.equal(before, go.procs(3))
    assert.equal(3, go.procs(2))
    assert.equal(2, go.procs(before))
    assert.equal(before, go.procs())
  end)

  it("refuses what is not a number of processors", function()
    local before = go.procs()
    for _, wrong in ipairs({ 0, -1, 1025, 1.5, 0 / 0, math.huge, "x", {} }) do
      local ok, message = pcall(go.procs, wrong)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'procs'", message, 1, true)
    end
    assert.equal(before, go.procs())
  end)

  it("starts as GOROUTINES_PROCS", function()
    for _, n in ipairs({ 1, 3, 16 }) do
      local code = 'io.write(require("goroutines").procs())'
      local env = { GOROUTINES_PROCS = n }
      assert.equal(tostring(n), helper.output({ code, env = env }))
    end
  end)

  it("starts as the CPUs that the process may use", function()
    assert.equal("1", helper.output({ [[
      assert(os.execute("taskset -cp 0 $PPID >/dev/null"))
      io.write(require("goroutines").procs())
    ]], env = { GOROUTINES_PROCS = false } }))
  end)

  it("may be called from any goroutine", function()
    local _ <close> = helper.procs(2)
    assert.same({ true, 2 }, { go.spawn(go.procs, 3):join() })
    assert.equal(3, go.procs())
  end)

  it("grows and shrinks while all of them are in use", function()
    local _ <close> = helper.procs(4)
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = go.spawn(compute)
      tasks[4 + i] = ring(5, 200)
    end
    for _, n in ipairs({ 1, 2, 8, 1, 3, 64, 2, 1, 4 }) do
      go.procs(n)
      for _ = 1, 20 do
        go.yield()
      end
    end
    for i = 1, 8 do
      local ok, result = tasks[i]:join()
      assert.is_true(ok)
      assert.is_truthy(result)
    end
  end)

  it("changes a thousand times while goroutines come and go", function()
    local _ <close> = helper.procs(1)
    local stop, out = go.chan(), go.chan()
    local function respawn(n)
      if stop:is_closed() then
        out:send(n)
      else
        go(respawn, n + 1)
      end
    end
    go(respawn, 1)
    for i = 1, 1000 do
      go.procs(i % 3 + 1)
    end
    stop:close()
    assert.is_true(out:recv() >= 1)
  end)

  it("runs all with one, and with far more than there are CPUs", function()
    helper.each_procs({ 1, 64 }, function()
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = ring(10, 100)
      end
      for i = 1, 8 do
        assert.same({ true, true }, { tasks[i]:join() })
      end
    end)
  end)

  it("takes a thousand", function()
    assert.equal("true\ttrue\n", helper.output({ [[
      local go = require("goroutines")
      local ch = go.chan()
      for i = 1, 100 do
        go(function() ch:send(i) end)
      end
      local sum = 0
      for _ = 1, 100 do
        sum = sum + ch:recv()
      end
      print(sum == 5050, go.procs() == 1024)
    ]], env = { GOROUTINES_PROCS = 1024 } }))
  end)
end)

-- Goroutines that spin until it is their turn, and are not preempted: all of
-- them have to run at once.
describe("as many processors as goroutines", function()
  it("run all of them at once", function()
    for _, n in ipairs({ 2, 4 }) do
      local output = helper.output({ [[
        local go = require("goroutines")
        go.configure({ time_slice = 1000 })
        local n, turns, tasks = go.procs(), {}, {}
        for i = 1, 10 * n do
          turns[i] = go.chan()
        end
        local function take_turns(first)
          for i = first, #turns, n do
            repeat until i == 1 or turns[i - 1]:is_closed()
            turns[i]:close()
          end
        end
        for i = 1, n do
          tasks[i] = go.spawn(take_turns, i)
        end
        for i = 1, n do
          tasks[i]:join()
        end
        io.write("done")
      ]], env = { GOROUTINES_PROCS = n } })
      assert.equal("done", output)
    end
  end)
end)

describe("one processor", function()
  it("has one that computes at a time", function()
    local _ <close> = helper.procs(1)
    -- With short slices the monitor takes a good part of a processor.
    local _ <close> = helper.configure({ time_slice = 0.01 })
    local tasks, start, cpu = {}, go.now(), os.clock()
    for i = 1, 4 do
      tasks[i] = go.spawn(compute)
    end
    for i = 1, 4 do
      tasks[i]:join()
    end
    assert.is_true(os.clock() - cpu < 1.5 * (go.now() - start))
  end)
end)
