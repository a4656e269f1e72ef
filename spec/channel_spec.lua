local go = require("goroutines")
local helper = require("spec.helper")

local blocked, filled = helper.blocked, helper.filled
local drain, range = helper.drain, helper.range

local PROCS = { 1, 2, 4 }

local function recv(ch)
  return ch:recv()
end

local function send(ch, v)
  return ch:send(v)
end

describe("a channel", function()
  it("has a room and a filling", function()
    for _, capacity in ipairs({ 0, 1, 2, 50 }) do
      local ch = go.chan(capacity)
      assert.equal(capacity, ch:capacity())
      assert.equal(0, #ch)
      for i = 1, capacity do
        ch:send(i)
        assert.equal(i, #ch)
      end
      for i = 1, capacity do
        assert.equal(i, ch:recv())
        assert.equal(capacity - i, #ch)
      end
    end
    assert.equal(0, go.chan():capacity())
  end)

  it("never lets an empty channel be received from", function()
    for capacity = 0, 50 do
      local ch = go.chan(capacity)
      assert.same({ nil, "timeout" }, { ch:recv(0) })
      local task = blocked(recv, ch)
      ch:send("v")
      assert.same({ true, "v" }, { task:join() })
    end
  end)

  it("never lets a full channel be sent to", function()
    for capacity = 0, 50 do
      local ch = filled(capacity, capacity)
      assert.same({ nil, "timeout" }, { ch:send(0, 0) })
      local task = blocked(send, ch, "last")
      assert.equal(capacity, #ch)
      for i = 1, capacity do
        assert.equal(i, ch:recv())
      end
      assert.equal("last", ch:recv())
      assert.same({ true, true }, { task:join() })
    end
  end)

  it("is first in, first out", function()
    helper.each_procs(PROCS, function()
      for capacity = 0, 50, 10 do
        local ch = go.chan(capacity)
        go(function()
          for i = 1, 100 do
            ch:send(i)
          end
          ch:close()
        end)
        assert.same(range(100), drain(ch))
      end
    end)
  end)

  it("serves those who wait in the order of their arrival", function()
    local ch, tasks = go.chan(), {}
    for i = 1, 10 do
      tasks[i] = blocked(recv, ch)
    end
    for i = 1, 10 do
      ch:send(i)
    end
    for i = 1, 10 do
      assert.same({ true, i }, { tasks[i]:join() })
    end
    for i = 1, 10 do
      tasks[i] = blocked(send, ch, i)
    end
    for i = 1, 10 do
      assert.equal(i, ch:recv())
      tasks[i]:join()
    end
  end)

  it("refills its buffer from a waiting sender, in order", function()
    local ch = filled(2, 2)
    local task = blocked(send, ch, 3)
    assert.equal(1, ch:recv())
    assert.is_true(task:join())
    assert.equal(2, #ch)
    assert.equal(2, ch:recv())
    assert.equal(3, ch:recv())
  end)

  it("gives each value to one of many receivers", function()
    local senders, receivers, n = 4, 4, 500
    helper.each_procs(PROCS, function()
      for _, capacity in ipairs({ 0, 1, 50 }) do
        local ch, tasks = go.chan(capacity), {}
        for i = 1, receivers do
          tasks[i] = go.spawn(drain, ch)
        end
        local sending = {}
        for i = 1, senders do
          sending[i] = go.spawn(function()
            for v = 1, n do
              ch:send(v)
            end
          end)
        end
        for i = 1, senders do
          sending[i]:join()
        end
        ch:close()
        local seen = {}
        for i = 1, receivers do
          local _, values = tasks[i]:join()
          for _, v in ipairs(values) do
            seen[v] = (seen[v] or 0) + 1
          end
        end
        for v = 1, n do
          assert.equal(senders, seen[v])
        end
      end
    end)
  end)

  it("says who it is", function()
    local a, b = go.chan(), go.chan()
    assert.matches("chan", tostring(a))
    assert.not_equal(tostring(a), tostring(b))
  end)

  it("is freed with what is in it once nobody holds it", function()
    local before = helper.baseline()
    for _ = 1, 100 do
      local ch, inner = go.chan(2), go.chan(1)
      inner:send({ "text" })
      ch:send({ inner })
      ch:send({ ch = inner })
    end
    helper.check_baseline(before)
  end)
end)

describe("an unbuffered channel", function()
  it("hands over only when both sides are there", function()
    local ch, done = go.chan(), go.chan(2)
    local task = go.spawn(function()
      ch:send(1)
      done:send("first")
      ch:send(2)
      done:send("second")
    end)
    assert.equal(1, ch:recv())
    assert.equal("first", done:recv())
    helper.parked(task)
    assert.same({ nil, "timeout" }, { done:recv(0) })
    assert.equal(2, ch:recv())
    assert.equal("second", done:recv())
    task:join()
  end)
end)

describe("a wait on a channel", function()
  it("with timeout 0 tells whether a peer is there", function()
    for _, value in ipairs({ 1, "text", true, false, { 1 } }) do
      local ch = go.chan()
      assert.same({ nil, "timeout" }, { ch:recv(0) })
      assert.same({ nil, "timeout" }, { ch:send(value, 0) })
      local sender = blocked(send, ch, value)
      assert.same({ value }, { ch:recv(0) })
      sender:join()
      local receiver = blocked(recv, ch)
      assert.is_true(ch:send(value, 0))
      assert.same({ true, value }, { receiver:join() })
    end
  end)

  it("ends at its timeout and leaves nothing queued", function()
    local ch = go.chan()
    local start = go.now()
    assert.same({ nil, "timeout" }, { ch:recv(0.01) })
    assert.is_true(go.now() - start >= 0.01)
    start = go.now()
    assert.same({ nil, "timeout" }, { ch:send("lost", 0.01) })
    assert.is_true(go.now() - start >= 0.01)
    assert.same({ nil, "timeout" }, { ch:recv(0) })
    assert.same({ nil, "timeout" }, { ch:send("lost", -1) })
    local task = blocked(recv, ch)
    assert.is_true(ch:send("v", math.huge))
    assert.same({ true, "v" }, { task:join() })
  end)

  it("never misses an item while the channel is being closed", function()
    helper.each_procs(PROCS, function()
      local work, done = go.chan(), go.chan()
      go(function()
        for ch in work do
          done:send((select(2, ch:recv(0))) ~= "timeout")
        end
      end)
      for _ = 1, 1000 do
        local ch = filled(1, 1)
        work:send(ch)
        ch:close()
        assert.is_true(done:recv())
      end
      work:close()
    end)
  end)
end)

describe("for v in ch", function()
  it("receives until the channel is closed", function()
    local ch = filled(3, 3)
    ch:close()
    assert.same({ 1, 2, 3 }, drain(ch))
    assert.same({}, drain(ch))
  end)

  it("goes on after a false", function()
    local ch = go.chan(3)
    ch:send(1)
    ch:send(false)
    ch:send(3)
    ch:close()
    local values = {}
    for v in ch do
      values[#values + 1] = v
    end
    assert.same({ 1, false, 3 }, values)
  end)

  it("may be left and entered again", function()
    local ch = filled(3, 3)
    ch:close()
    for v in ch do
      if v == 2 then
        break
      end
    end
    assert.same({ 3 }, drain(ch))
  end)
end)

describe("one direction of a channel", function()
  it("sends or receives", function()
    local ch = go.chan(2)
    ch:sender():send("a")
    assert.equal("a", ch:receiver():recv())
    ch:sender():close()
    assert.is_true(ch:is_closed())
    assert.same({}, drain(ch:receiver()))
  end)

  it("does not do what the other does", function()
    local ch = filled(2, 1)
    assert.has_error(function() ch:sender():recv(0) end)
    assert.has_error(function() drain(ch:sender()) end)
    assert.has_error(function() go.select(ch:sender(), go.default) end)
    assert.has_error(function() ch:receiver():send(1, 0) end)
    assert.has_error(function() ch:receiver():sending(1) end)
    assert.has_error(function() ch:receiver():close() end)
    assert.has_error(function() ch:sender():receiver():recv(0) end)
    assert.has_error(function() ch:receiver():sender():send(1, 0) end)
    assert.is_false(ch:is_closed())
    assert.equal(1, #ch)
  end)

  it("stays one where it is sent", function()
    local ch = go.chan(1)
    local task = go.spawn(function(to, from)
      to:send("v")
      return pcall(function() to:recv(0) end), from:recv(0),
        pcall(function() from:send(1, 0) end)
    end, ch:sender(), ch:receiver())
    local _, received, value, sent = task:join()
    assert.is_false(received)
    assert.equal("v", value)
    assert.is_false(sent)
  end)

  it("tells the state of the channel", function()
    local ch = filled(3, 2)
    for _, view in ipairs({ ch:sender(), ch:receiver() }) do
      assert.equal(2, #view)
      assert.equal(3, view:capacity())
      assert.is_false(view:is_closed())
      assert.matches("chan", tostring(view))
    end
  end)

  it("is a case of a select", function()
    local ch = go.chan(1)
    assert.equal(1, go.select(ch:sender():sending("v"), go.default))
    assert.same({ 1, "v" }, { go.select(ch:receiver(), go.default) })
  end)
end)

describe("a channel in a message", function()
  it("is the same channel: ==, and as a key", function()
    local ch, other, carrier = go.chan(1), go.chan(), go.chan(1)
    carrier:send(ch)
    local copy = carrier:recv()
    assert.is_true(copy == ch)
    assert.is_false(copy == other)
    assert.equal("found", ({ [ch] = "found" })[copy])
    copy:close()
    assert.is_true(ch:is_closed())
  end)

  it("is the same one in a goroutine, whichever way it came", function()
    local ch, carrier = go.chan(), go.chan(1)
    carrier:send(ch)
    local task = go.spawn(function(argument, t)
      local received = t.carrier:recv()
      return argument == ch, received == ch, t.list[1] == ch, ch
    end, ch, { list = { ch }, carrier = carrier })
    local results = { task:join() }
    assert.is_true(results[5] == ch)
    results[5] = nil
    assert.same({ true, true, true, true }, results)
  end)

  it("may be sent through itself", function()
    local ch = go.chan(1)
    ch:send(ch)
    assert.is_true(ch:recv() == ch)
  end)

  it("carries the answer to a request", function()
    helper.each_procs(PROCS, function()
      local requests = go.chan()
      go(function()
        for request in requests do
          request.reply:send(request.n * request.n)
        end
      end)
      local reply = go.chan()
      for n = 1, 100 do
        requests:send({ n = n, reply = reply })
        assert.equal(n * n, reply:recv())
      end
      requests:close()
    end)
  end)
end)
