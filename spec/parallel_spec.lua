-- Work spreads over the processors. The machine may have other things to do; so
-- what counts as running is also the time for which a thread was ready to run and
-- waited for a CPU, which the kernel tells for each thread.

local helper = require("spec.helper")

-- Runs a script on some processors, with some names at hand.
local function output(procs, script)
  return helper.output({ [[
    local go = require("goroutines")
    local fixture = require("fixture")

    -- Computes for 20 ms of the CPU time of its thread.
    local function compute()
      local times, thread = fixture.times, nil
      local last = times()[fixture.thread()][1] + 0.02
      repeat
        for _ = 1, 100000 do end
        thread = fixture.thread() -- it may have moved
      until times()[thread][1] >= last
    end

    local function median(values)
      table.sort(values)
      return values[#values // 2 + 1]
    end

    -- How long threads ran, or would have, had there been a CPU for each.
    local function running_time()
      local sum = 0
      for _, times in pairs(fixture.times()) do
        sum = sum + times[1] + times[2]
      end
      return sum
    end

    -- Since when a goroutine that was to start at `start` should have run.
    local function note_start()
      local fixture = require("fixture")
      local now, thread = go.now(), fixture.thread()
      return now, thread, fixture.times()[thread][2]
    end

    local function lateness(start, before, now, thread, waited)
      local had_waited = before[thread] and before[thread][2] or 0
      return now - start - (waited - had_waited)
    end
  ]] .. script, env = { GOROUTINES_PROCS = procs }, limit = 20 })
end

describe("two goroutines that compute", function()
  it("run at the same time on two processors", function()
    local speedup = tonumber(output(2, [[
      local speedups = {}
      for i = 1, 5 do
        local before, start = running_time(), go.now()
        local tasks = {}
        for j = 1, 2 do -- as long as the other, if one gets less of the CPUs
          tasks[j] = go.spawn(function()
            repeat for _ = 1, 10000 do end until go.now() >= start + 0.06
          end)
        end
        for _, task in ipairs(tasks) do assert(task:join()) end
        speedups[i] = (running_time() - before) / (go.now() - start)
      end
      print(median(speedups))
    ]]))
    assert.is_true(speedup >= 1.9, speedup)
  end)
end)

-- What main does before, with the next start.
local STARTS = {
  { "that main starts, and then waits", "" },
  { "that main starts, after other goroutines took turns for long", [[
    local ch, back = go.chan(), go.chan()
    go(function() for v in ch do back:send(v) end end)
    for i = 1, 10000 do
      ch:send(i)
      back:recv()
    end
    ch:close()
  ]] },
}

describe("a goroutine", function()
  for _, row in ipairs(STARTS) do
    local name, before = table.unpack(row)
    it("runs on an idle processor within a millisecond: " .. name, function()
      local late = tonumber(output(2, before .. [[
        local late = {}
        for i = 1, 15 do
          local snapshot, start = fixture.times(), go.now()
          local task = go.spawn(note_start)
          compute()
          late[i] = lateness(start, snapshot, select(2, assert(task:join())))
        end
        print(median(late))
      ]]))
      assert.is_true(late < helper.within(0.001), late)
    end)
  end
end)

describe("goroutines", function()
  it("are not lost while the number of processors changes under load", function()
    assert.equal("1000\n", output(4, [[
      go.configure({ time_slice = 0.0002 })
      local stop, tasks = go.chan(), {}
      for i = 1, 2 do
        tasks[i] = go.spawn(function()
          local ch, n = go.chan(), 0
          while not stop:is_closed() do
            go(function() ch:send(1) end)
            n = n + ch:recv()
          end
          return n
        end)
      end
      go(function() while true do go.sleep(0.0001) end end)
      go(function() while true do end end)
      local rounds, ch = 0, go.chan()
      for i = 1, 1000 do
        go.procs(i % 7 + 1)
        go(function() ch:send(i) end)
        rounds = rounds + (ch:recv() == i and 1 or 0)
      end
      stop:close()
      for i = 1, 2 do
        local ok, n = tasks[i]:join()
        assert(ok and n > 0)
      end
      print(rounds)
    ]]))
  end)

  it("run on a thousand processors, and on one after that", function()
    assert.equal("500500\ttrue\n", output(1024, [[
      local tasks, sum = {}, 0
      for i = 1, 1000 do
        tasks[i] = go.spawn(function()
          for _ = 1, 1000 do end
          go.yield()
          return i
        end)
      end
      go.procs(1)
      for i = 1, 1000 do
        sum = sum + select(2, assert(tasks[i]:join()))
      end
      print(sum, go.procs() == 1)
    ]]))
  end)
end)
