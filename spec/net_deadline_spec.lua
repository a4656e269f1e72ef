-- Time limits of connections. Cases named P21 are Go's, from its net and nettest
-- packages.

local go = require("goroutines")
local helper = require("spec.helper")
local sockets = require("spec.sockets")

sockets.each_kind(function(kind, pair)
  describe("a time limit of " .. kind, function()
    it("ends a read, which is repeated with success (P21)", function()
      local a, b <close> = pair()
      a:set_timeout(0.02)
      for _ = 1, 3 do
        local start = go.now()
        assert.same({ nil, "timeout" }, { a:read() })
        assert.is_true(go.now() - start >= 0.02)
      end
      b:write("x\n")
      assert.equal("x", a:read())
    end)

    it("keeps what was read before", function()
      local a, b <close> = pair()
      a:set_read_timeout(0.01)
      b:write("1 2 hal")
      assert.equal("1", a:read(1))
      assert.same({ nil, "timeout" }, { a:read("n", "l") })
      assert.same({ nil, "timeout" }, { a:read(100) })
      assert.same({ nil, "timeout" }, { a:read("a") })
      b:write("f\n")
      assert.same({ 2, " half" }, { a:read("n", "l") })
    end)

    it("of 0 polls, and gives what is there", function()
      local a, b <close> = pair()
      b:write("x\ny\n")
      assert.equal("x", a:read())
      a:set_timeout(0)
      assert.equal("y", a:read())
      assert.same({ nil, "timeout" }, { a:read() })
      a:set_timeout(-1)
      assert.same({ nil, "timeout" }, { a:read() })
    end)

    it("ends a write", function()
      local a, b <close> = pair()
      a:set_write_timeout(0.02)
      assert.same({ nil, "timeout" }, { a:write(("x"):rep(64 * 1024 * 1024)) })
      assert.is_true(b:close())
    end)

    it("holds for a wait that has begun (P21)", function()
      local a, b <close> = pair()
      local reader = helper.blocked(function() return a:read() end)
      a:set_timeout(0.02)
      assert.same({ true, nil, "timeout" }, { reader:join() })
      a:set_timeout(nil)
      reader = helper.blocked(function() return a:read() end)
      a:set_read_timeout(0)
      assert.same({ true, nil, "timeout" }, { reader:join() })
      assert.is_true(b:close())
    end)

    it("that is taken away does not end a wait (P21)", function()
      local a, b <close> = pair()
      a:set_timeout(helper.within(0.05))
      local reader = helper.blocked(function() return a:read() end)
      a:set_timeout(nil)
      go.sleep(helper.within(0.1))
      assert.equal("waiting", reader:status())
      b:write("late\n")
      assert.same({ true, "late" }, { reader:join() })
    end)

    it("is kept to within bounds (P21)", function()
      local a, b <close> = pair()
      local limit = 0.001
      while limit < 0.3 do
        a:set_timeout(limit)
        local best = math.huge
        for _ = 1, 5 do -- the machine may be busy now and then
          local start = go.now()
          assert.same({ nil, "timeout" }, { a:read() })
          local took = go.now() - start
          assert.is_true(took >= limit)
          best = math.min(best, took)
        end
        assert.is_true(best < helper.within(limit * 1.5 + 0.02))
        limit = limit * 3
      end
      assert.is_true(b:close())
    end)

    it("may be changed while others read and write (P21)", function()
      local a, b <close> = pair()
      go(sockets.echo, b)
      local setter = go.spawn(function()
        for i = 1, 2000 do
          a:set_timeout(i % 3 == 0 and 0.001 or nil)
          if i % 50 == 0 then
            go.yield()
          end
        end
        a:set_timeout(nil)
      end)
      local sent, got = 0, 0
      repeat
        sent = sent + (a:write("x") and 1 or 0)
        got = got + #(a:read("s") or "")
      until setter:status() == "done"
      while got < sent do
        got = got + #a:read("s")
      end
      assert.equal(sent, got)
      assert.is_true(setter:join())
    end)

    -- Both ends answer as if nothing had been.
    local function check_works(a, b)
      a:set_timeout(nil)
      b:set_timeout(nil)
      for i = 1, 20 do
        a:write(i, "\n")
        assert.equal(i, b:read("n"))
        b:write(i, "\n")
        assert.equal(i, a:read("n"))
      end
    end

    -- Fills what the system keeps for a connection that nobody reads; returns
    -- what the other side has to read then.
    local function fill(a)
      local text = ("x"):rep(16 * 1024 * 1024)
      a:set_write_timeout(0)
      assert.same({ nil, "timeout" }, { a:write(text) })
      a:set_write_timeout(nil)
    end

    local function drain(b)
      b:set_read_timeout(0)
      repeat until not b:read("s")
    end

    it("in the past ends all, and is taken away (P21)", function()
      local a, b <close> = pair()
      a:set_timeout(-1)
      fill(a)
      a:set_timeout(-1)
      assert.same({ nil, "timeout" }, { a:read() })
      assert.same({ nil, "timeout" }, { a:write("x") })
      drain(b)
      check_works(a, b)
      a:close()
    end)

    it("that is set now ends who reads and who writes (P21)", function()
      local a, b <close> = pair()
      fill(a)
      local reader = helper.blocked(function() return a:read() end)
      local writer = helper.blocked(function() return a:write("x") end)
      a:set_timeout(0)
      assert.same({ true, nil, "timeout" }, { reader:join() })
      assert.same({ true, nil, "timeout" }, { writer:join() })
      drain(b)
      check_works(a, b)
      a:close()
    end)

    it("that is set for later ends who reads and who writes (P21)", function()
      local a, b <close> = pair()
      fill(a)
      a:set_timeout(0.05)
      local start = go.now()
      local reader = go.spawn(function() return a:read() end)
      local writer = go.spawn(function() return a:write("x") end)
      assert.same({ true, nil, "timeout" }, { reader:join() })
      assert.same({ true, nil, "timeout" }, { writer:join() })
      assert.is_true(go.now() - start >= 0.05)
      drain(b)
      check_works(a, b)
      a:close()
    end)

    it("does not keep closing from ending waits (P21)", function()
      local a, b <close> = pair()
      fill(a)
      a:set_timeout(60)
      local reader = helper.blocked(function() return a:read() end)
      local writer = helper.blocked(function() return a:write("x") end)
      a:close()
      assert.same({ true, nil, "closed" }, { reader:join() })
      assert.same({ true, nil, "closed" }, { writer:join() })
      b:close()
    end)

    it("is met by many who read and write at once (P21)", function()
      local a, b = pair()
      go(sockets.echo, b)
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = go.spawn(function()
          for n = 1, 20 do
            a:set_timeout(n % 2 * 0.001)
            if i % 2 == 0 then
              pcall(a.read, a, "s") -- raises while another one reads
            else
              pcall(a.write, a, ("x"):rep(1024))
            end
          end
        end)
      end
      for _, task in ipairs(tasks) do
        assert.same({ true }, { task:join() })
      end
      a:close()
      b:close()
    end)

    it("of any length ends in a timeout (P21)", function()
      helper.each_procs({ 1, 2, 4 }, function()
        local tasks = {}
        for _, limit in ipairs({ 1e-9, 2e-9, 5e-9, 1e-7, 2e-7, 5e-7, 1e-6, 2e-6,
                                 5e-6, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1 }) do
          for _ = 1, 2 do
            local a, b = pair()
            tasks[#tasks + 1] = go.spawn(function()
              a:set_read_timeout(limit)
              local start = go.now()
              local data, why = a:read("s")
              assert(go.now() - start >= limit)
              a:close()
              b:close()
              return data, why
            end)
          end
        end
        for _, task in ipairs(tasks) do
          assert.same({ true, nil, "timeout" }, { task:join() })
        end
      end)
    end)
  end)
end)

describe("a time limit of connecting", function()
  it("ends a connection that nobody accepts", function()
    local path = sockets.path()
    local l <close> = go.net.listen_unix(path, { backlog = 1 })
    local conns, err = {}, nil
    for i = 1, 10 do
      conns[i], err = go.net.connect_unix(path, { timeout = 0.02 })
      if err then
        break
      end
    end
    assert.equal("timeout", err)
    local waiting = helper.blocked(function()
      return go.net.connect_unix(path):close()
    end)
    while waiting:status() ~= "done" do -- makes room
      local conn = l:accept(0.01)
      if conn then
        conn:close()
      end
    end
    assert.same({ true, true }, { waiting:join() })
    for _, conn in ipairs(conns) do
      conn:close()
    end
  end)
end)
