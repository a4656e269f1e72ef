local go = require("goroutines")
local helper = require("spec.helper")

local blocked, filled = helper.blocked, helper.filled

local function closed()
  local ch = go.chan()
  ch:close()
  return ch
end

local function never()
  return go.chan():sending("never")
end

describe("go.select", function()
  it("returns the position of the case that happened", function()
    local a, b, c = go.chan(1), filled(1, 1), go.chan()
    assert.same({ n = 2, 2, 1 }, table.pack(go.select(c, b)))
    assert.same({ n = 1, 3 }, table.pack(go.select(c, b, a:sending("v"))))
    assert.same({ n = 2, 1, "v" }, table.pack(go.select(a, false, c)))
    local results = table.pack(go.select(c, closed()))
    assert.same({ n = 3, 2, nil, "closed" }, results)
    assert.same({ n = 1, 4 }, table.pack(go.select(a, b, c, go.default)))
    assert.same({ n = 1, 1 }, table.pack(go.select(go.default)))
  end)

  it("tells a false from the end", function()
    local ch = go.chan(1)
    ch:send(false)
    ch:close()
    assert.same({ n = 2, 1, false }, table.pack(go.select(ch)))
    assert.same({ n = 3, 1, nil, "closed" }, table.pack(go.select(ch)))
  end)

  it("does not wait when a case is ready", function()
    local ready = {
      { filled(1, 1) }, { filled(9, 1) }, { closed() },
      { go.chan(1):sending(1) }, { filled(2, 1):sending(1) },
      { filled(1, 1), false }, { false, filled(1, 1) },
      { go.chan(), filled(1, 1) }, { never(), closed() },
      { filled(1, 1):sending(1), go.chan(1):sending(1), false },
      { go.chan(), never(), go.default }, { false, go.default },
    }
    for i, cases in ipairs(ready) do
      local start = go.now()
      assert.is_truthy(cases[go.select(table.unpack(cases))])
      assert.is_true(go.now() - start < helper.within(1), i)
    end
  end)

  it("waits while none is ready", function()
    local waiting = {
      function(ch) return go.select(ch) end,
      function(ch) return go.select(false, ch) end,
      function(ch) return go.select(go.chan(), go.chan(1), false, ch) end,
      function(ch) return go.select(never(), ch) end,
      function(ch) return go.select(ch, never(), ch, never()) end,
    }
    for _, f in ipairs(waiting) do
      local ch = go.chan()
      local task = blocked(f, ch)
      assert.same({ nil, "timeout" }, { task:join(0) })
      assert.is_true(ch:send("v", 0))
      local ok, _, v = task:join()
      assert.is_true(ok)
      assert.equal("v", v)
    end
  end)

  it("is woken by a receiver, by a sender, by a close", function()
    local function choose(a, b)
      return go.select(a, b:sending("sent"))
    end
    local a, b = go.chan(), go.chan()
    local task = blocked(choose, a, b)
    assert.equal("sent", b:recv(0))
    assert.same({ true, 2 }, { task:join() })
    task = blocked(choose, a, b)
    a:send("received")
    assert.same({ true, 1, "received" }, { task:join() })
    task = blocked(choose, a, b)
    a:close()
    assert.same({ true, 1, nil, "closed" }, { task:join() })
    task = blocked(function() return pcall(go.select, b:sending("sent")) end)
    b:close()
    local _, ok, message = task:join()
    assert.is_false(ok)
    assert.matches("send on closed channel", message)
  end)

  it("raises if the ready case sends on a closed channel", function()
    for _, other in ipairs({ false, go.chan(), go.default }) do
      local ok, message = pcall(go.select, closed():sending(1), other)
      assert.is_false(ok)
      assert.matches("send on closed channel", message)
    end
  end)

  it("copies what it sends each time it runs", function()
    local ch, v = go.chan(2), { 1 }
    local case = ch:sending(v)
    go.select(case)
    v[1] = 2
    go.select(case)
    v[1] = 3
    assert.same({ 1 }, ch:recv())
    assert.same({ 2 }, ch:recv())
  end)

  it("sends nothing by a case that loses", function()
    local a, b = go.chan(1), go.chan(1)
    for _ = 1, 100 do
      local i = go.select(a:sending("a"), b:sending("b"))
      assert.equal(1, #a + #b)
      assert.equal(i == 1 and "a" or "b", (i == 1 and a or b):recv(0))
    end
  end)

  it("takes any number of cases", function()
    local cases = {}
    for i = 1, 200 do
      cases[i] = i % 2 == 0 and go.chan() or never()
    end
    cases[123] = filled(1, 1)
    assert.same({ 123, 1 }, { go.select(table.unpack(cases)) })
  end)

  it("has a time limit by a channel of go.after", function()
    local start = go.now()
    assert.equal(2, (go.select(go.chan(), go.after(0.01))))
    assert.is_true(go.now() - start >= 0.01)
  end)

  it("refuses what is not a case", function()
    for _, wrong in ipairs({ 1, "x", true, {}, print }) do
      assert.has_error(function() go.select(go.chan(1), wrong) end)
    end
    assert.has_error(function() go.select(nil) end)
    assert.has_error(function() go.select(go.default, go.chan()) end)
    assert.has_error(function() go.select(go.default, go.default) end)
  end)
end)

-- Every mixture of one case in question with cases around it that are never
-- ready, in either direction, ready in each of the ways there are, or not.
describe("a case among others", function()
  local around = {
    function() return end,
    function() return false end,
    function() return go.chan() end,
    function() return never() end,
    function() return go.chan(1), false, never() end,
  }

  local function recv_task(ch)
    return blocked(function() return ch:recv() end)
  end

  local function send_task(ch)
    return blocked(function() return ch:send("v") end)
  end

  -- How a channel gets ready: the channel, and a task that is part of it.
  local to_recv = {
    { "by its buffer", function()
      local ch = go.chan(1)
      ch:send("v")
      return ch
    end },
    { "by a sender", function()
      local ch = go.chan()
      return ch, send_task(ch)
    end },
    { "by a sender behind its buffer", function()
      local ch = go.chan(1)
      ch:send("v")
      return ch, send_task(ch)
    end },
  }
  local to_send = {
    { "by its room", function() return go.chan(1) end },
    { "by a receiver", function()
      local ch = go.chan()
      return ch, recv_task(ch)
    end },
    { "by a receiver in spite of room", function()
      local ch = go.chan(1)
      return ch, recv_task(ch)
    end },
  }

  local function receiving(ch) return ch end
  local function sending(ch) return ch:sending("v") end

  -- Calls `f(cases, position)` with each mixture around `case()`.
  local function each_mixture(case, f)
    for _, before in ipairs(around) do
      for _, after in ipairs(around) do
        for _, default in ipairs({ false, true }) do
          local cases = table.pack(before())
          local position = cases.n + 1
          cases[position] = case()
          for _, other in ipairs({ after() }) do
            cases[#cases + 1] = other
          end
          cases[#cases + 1] = default and go.default or nil
          f(cases, position)
        end
      end
    end
  end

  for _, row in ipairs(to_recv) do
    local how, ready = table.unpack(row)
    it("receives if it is ready " .. how, function()
      local task
      each_mixture(function()
        local ch
        ch, task = ready()
        return receiving(ch)
      end, function(cases, position)
        local result = { go.select(table.unpack(cases)) }
        assert.same({ position, "v" }, result)
        assert.is_true(not task or task:join())
      end)
    end)
  end

  for _, row in ipairs(to_send) do
    local how, ready = table.unpack(row)
    it("sends if it is ready " .. how, function()
      local task
      each_mixture(function()
        local ch
        ch, task = ready()
        return sending(ch)
      end, function(cases, position)
        assert.same({ position }, { go.select(table.unpack(cases)) })
        assert.same({ true, "v" }, task and { task:join() } or { true, "v" })
      end)
    end)
  end

  it("leaves it to the default if it is not", function()
    for _, case in ipairs({ receiving, sending }) do
      each_mixture(function() return case(go.chan()) end, function(cases)
        if cases[#cases] == go.default then
          assert.same({ #cases }, { go.select(table.unpack(cases)) })
        end
      end)
    end
  end)
end)
