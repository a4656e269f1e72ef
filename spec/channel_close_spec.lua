local go = require("goroutines")
local helper = require("spec.helper")

local blocked, filled = helper.blocked, helper.filled

local function recv(ch)
  return ch:recv()
end

local function send(ch, v)
  return ch:send(v)
end

describe("a closed channel", function()
  local function closed(capacity, n)
    local ch = filled(capacity, n)
    ch:close()
    return ch
  end

  local function raises(text, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.matches(text, message)
  end

  -- Each operation, directly and as the only and as one of several cases.
  local ways = {
    {
      name = "plain",
      recv = recv,
      send = function(ch) return ch:send(1) end,
    },
    {
      name = "polling",
      recv = function(ch) return ch:recv(0) end,
      send = function(ch) return ch:send(1, 0) end,
    },
    {
      name = "one case",
      recv = function(ch) return select(2, go.select(ch)) end,
      send = function(ch) return go.select(ch:sending(1)) end,
    },
    {
      name = "with default",
      recv = function(ch) return select(2, go.select(ch, go.default)) end,
      send = function(ch) return go.select(ch:sending(1), go.default) end,
    },
    {
      name = "three cases",
      recv = function(ch)
        return select(2, go.select(go.chan(), ch, false))
      end,
      send = function(ch)
        return go.select(go.chan(), ch:sending(1), false)
      end,
    },
  }

  for _, way in ipairs(ways) do
    it("gives the rest, then nil and \"closed\": " .. way.name, function()
      for _, capacity in ipairs({ 0, 1, 3 }) do
        for n = 0, capacity do
          local ch = closed(capacity, n)
          for i = 1, n do
            assert.equal(i, way.recv(ch))
          end
          assert.same({ nil, "closed" }, { way.recv(ch) })
          assert.same({ nil, "closed" }, { way.recv(ch) })
        end
      end
    end)

    it("cannot be sent to: " .. way.name, function()
      raises("send on closed channel", way.send, closed(0, 0))
      raises("send on closed channel", way.send, closed(1, 0))
      raises("send on closed channel", way.send, closed(2, 2))
    end)
  end

  it("cannot be closed again", function()
    raises("close of closed channel", function() closed(0, 0):close() end)
    raises("close of closed channel", function() closed(1, 1):close() end)
  end)

  it("knows that it is closed", function()
    local ch = go.chan(1)
    assert.is_false(ch:is_closed())
    ch:send(1)
    ch:close()
    assert.is_true(ch:is_closed())
    assert.equal(1, #ch)
  end)

  it("lets a false that was sent be told from its end", function()
    local ch = go.chan(1)
    ch:send(false)
    ch:close()
    assert.same({ n = 1, false }, table.pack(ch:recv()))
    assert.same({ n = 2, nil, "closed" }, table.pack(ch:recv()))
  end)

  it("wakes all who wait for a value", function()
    local ch, tasks = go.chan(), {}
    for i = 1, 10 do
      tasks[i] = blocked(recv, ch)
    end
    ch:close()
    for i = 1, 10 do
      assert.same({ true, nil, "closed" }, { tasks[i]:join() })
    end
  end)

  it("raises in all who wait to send", function()
    local ch, tasks = filled(1, 1), {}
    for i = 1, 10 do
      tasks[i] = blocked(pcall, send, ch, i)
    end
    ch:close()
    for i = 1, 10 do
      local _, ok, message = tasks[i]:join()
      assert.is_false(ok)
      assert.matches("send on closed channel", message)
    end
    assert.equal(1, ch:recv())
    assert.same({ nil, "closed" }, { ch:recv() })
  end)
end)
