local go = require("goroutines")
local helper = require("spec.helper")

local blocked, filled = helper.blocked, helper.filled

local PROCS = { 1, 2, 4 }

describe("a select", function()
  it("never completes two of its cases", function()
    helper.each_procs(PROCS, function()
      local n, merged, done, inputs = 5000, go.chan(), go.chan(), {}
      local function forward(from)
        for v in from do
          merged:send(v)
        end
        done:send(true)
      end
      for i = 1, 4 do
        inputs[i] = go.chan()
        go(forward, inputs[i])
      end
      go(function()
        for v = 1, n do
          go.select(inputs[1]:sending(v), inputs[2]:sending(v),
            inputs[3]:sending(v), inputs[4]:sending(v))
        end
        for i = 1, 4 do
          inputs[i]:close()
        end
        for _ = 1, 4 do
          done:recv()
        end
        merged:close()
      end)
      local seen, count = {}, 0
      for v in merged do
        assert.is_nil(seen[v])
        seen[v], count = true, count + 1
      end
      assert.equal(n, count)
    end)
  end)

  it("leaves the others in the queue of a channel it was in twice", function()
    local ch, quit = go.chan(), go.chan()
    local chooser = blocked(function() return go.select(ch, ch, quit) end)
    local receiver = blocked(function() return ch:recv() end)
    quit:send("quit")
    assert.same({ true, 3, "quit" }, { chooser:join() })
    assert.is_true(ch:send("v"))
    assert.same({ true, "v" }, { receiver:join() })
  end)

  it("leaves a queue from its end without losing it", function()
    local ch, other = go.chan(), go.chan()
    local function recv() return ch:recv() end
    local first = blocked(recv)
    local chooser = blocked(function() return go.select(ch, other) end)
    other:send("other")
    assert.same({ true, 2, "other" }, { chooser:join() })
    local second = blocked(recv)
    ch:send(1)
    ch:send(2)
    assert.same({ true, 1 }, { first:join() })
    assert.same({ true, 2 }, { second:join() })
  end)

  it("meets any kind of partner", function()
    local receives = {
      function(ch) return ch:recv() end,
      function(ch) return (select(2, go.select(ch))) end,
      function(ch) return (select(2, go.select(ch, go.chan()))) end,
      function(ch) return (select(2, go.select(go.chan(), ch, ch))) end,
    }
    local sends = {
      function(ch) ch:send("v") end,
      function(ch) go.select(ch:sending("v")) end,
      function(ch) go.select(ch:sending("v"), go.chan()) end,
      function(ch) go.select(false, ch:sending("v"), ch:sending("v")) end,
    }
    for _, receive in ipairs(receives) do
      for _, send in ipairs(sends) do
        local ch = go.chan()
        local task = go.spawn(send, ch)
        assert.equal("v", receive(ch))
        assert.is_true(task:join())
        task = blocked(receive, ch)
        send(ch)
        assert.same({ true, "v" }, { task:join() })
      end
    end
  end)

  -- The bound is 4.89 standard deviations: one failure in a million runs.
  it("is fair between two that are always ready", function()
    local n = 10000
    local a, b, count = filled(n, n), filled(n, n), 0
    for _ = 1, n do
      if go.select(a, b) == 1 then
        count = count + 1
      end
    end
    assert.is_true(math.abs(count / n - 0.5) <= 4.89 / (2 * math.sqrt(n)))
  end)

  it("sends either of two values by chance", function()
    for _, capacity in ipairs({ 0, 100 }) do
      local ch, n, ones = go.chan(capacity), 100, 0
      go(function()
        for _ = 1, n do
          go.select(ch:sending(0), ch:sending(1))
        end
      end)
      for _ = 1, n do
        ones = ones + ch:recv()
      end
      assert.is_true(ones > n * 0.1 and ones < n * 0.9)
    end
  end)

  it("never receives what itself sends", function()
    local function converse(ch, me, n)
      local own = 0
      for i = 1, n do
        local cases = { ch:sending(me), ch }
        if me == 1 and i % 2 == 1 then
          cases[1], cases[2] = cases[2], cases[1]
        end
        local _, v = go.select(table.unpack(cases))
        own = own + (v == me and 1 or 0)
      end
      return own
    end
    helper.each_procs(PROCS, function()
      for capacity = 0, 10, 5 do
        local ch, tasks = go.chan(capacity), {}
        for me = 0, 1 do
          tasks[me] = go.spawn(converse, ch, me, 1000)
        end
        for me = 0, 1 do
          local ok, own = tasks[me]:join()
          assert.is_true(ok)
          assert.is_true(capacity > 0 or own == 0)
        end
      end
    end)
  end)

  it("judges all its cases at one instant", function()
    helper.each_procs(PROCS, function()
      local work, missed = go.chan(), go.chan()
      go(function()
        for pair in work do
          missed:send(go.select(pair[1], pair[2], go.default) == 3)
        end
      end)
      -- One of the two is ready at any time: b before a ceases to be.
      local function try(b, make_ready)
        local a = filled(1, 1)
        work:send({ a, b })
        make_ready(b)
        go.select(a, go.default)
        assert.is_false(missed:recv())
      end
      for _ = 1, 1000 do
        try(go.chan(1), function(b) b:send(1) end)
        try(go.chan(), function(b) b:close() end)
      end
      work:close()
    end)
  end)

  -- Plain and selecting senders and receivers on four channels; a case that
  -- has had its share becomes false.
  it("conserves values under stress", function()
    local n = 500
    local function select_all(chans, case)
      local left, sum = { n, n, n, n }, 0
      for _ = 1, 4 * n do
        local cases = {}
        for i, ch in ipairs(chans) do
          cases[i] = left[i] > 0 and case(ch, left[i])
        end
        local i, v = go.select(table.unpack(cases))
        left[i] = left[i] - 1
        sum = sum + (v or 0)
      end
      return sum
    end
    local function send_all(ch)
      for v = 1, n do
        ch:send(v)
      end
      return 0
    end
    local function recv_all(ch)
      local sum = 0
      for _ = 1, n do
        sum = sum + ch:recv()
      end
      return sum
    end
    helper.each_procs(PROCS, function()
      local chans, tasks = {}, {}
      for i = 1, 4 do
        chans[i] = go.chan(i - 1)
        tasks[#tasks + 1] = go.spawn(send_all, chans[i])
        tasks[#tasks + 1] = go.spawn(recv_all, chans[i])
      end
      tasks[#tasks + 1] = go.spawn(select_all, chans,
        function(ch, v) return ch:sending(v) end)
      tasks[#tasks + 1] = go.spawn(select_all, chans,
        function(ch) return ch end)
      local sum = 0
      for _, task in ipairs(tasks) do
        local ok, part = task:join()
        assert.is_true(ok)
        sum = sum + part
      end
      assert.equal(8 * n * (n + 1) / 2, sum)
    end)
  end)

  it("hands each value to one of ten that select", function()
    helper.each_procs(PROCS, function()
      local ch, out, quit, n = go.chan(), go.chan(), go.chan(), 1000
      local function work()
        while true do
          local i, v = go.select(ch, quit)
          if i == 2 then
            return
          end
          go.select(out:sending(v), quit)
        end
      end
      local workers = {}
      for i = 1, 10 do
        workers[i] = go.spawn(work)
      end
      go(function()
        for v = 1, n do
          ch:send(v)
        end
      end)
      local seen = {}
      for _ = 1, n do
        local v = out:recv()
        assert.is_nil(seen[v])
        seen[v] = true
      end
      quit:close()
      for _, worker in ipairs(workers) do
        assert.is_true(worker:join())
      end
    end)
  end)

  it("leaves nothing behind on a channel that is never ready", function()
    local dead, ping, pong = go.chan(), go.chan(), go.chan()
    local task = go.spawn(function()
      for v in ping do
        go.select(dead, pong:sending(v), dead, dead:sending({ v }))
      end
    end)
    local function round(n)
      for i = 1, n do
        ping:send(i)
        go.select(dead, pong, dead, dead:sending({ i }))
      end
      return helper.baseline(), collectgarbage("count")
    end
    local before, kilobytes = round(100)
    local _, kilobytes_after = round(10000)
    helper.check_baseline(before)
    assert.is_true(kilobytes_after - kilobytes < 100)
    ping:close()
    task:join()
  end)
end)
