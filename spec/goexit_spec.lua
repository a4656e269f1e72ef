local go = require("goroutines")
local helper = require("spec.helper")

describe("go.exit", function()
  it("ends the goroutine with its arguments as results", function()
    local task = go.spawn(function()
      go.exit(1, nil, { 3 })
      return "not reached"
    end)
    assert.same({ n = 4, true, 1, nil, { 3 } }, table.pack(task:join()))
    assert.equal("done", task:status())
  end)

  it("is not caught by pcall, coroutines or C functions", function()
    local task = go.spawn(function()
      pcall(function()
        local inner = coroutine.wrap(function()
          xpcall(table.sort, print, { 3, 2, 1 }, function()
            go.exit("out")
          end)
        end)
        inner()
      end)
      return "not reached"
    end)
    assert.same({ true, "out" }, { task:join() })
  end)

  it("runs the __close handlers, inner to outer", function()
    local log = go.chan(10)
    local task = go.spawn(function()
      local function closer(name)
        return setmetatable({}, {
          __close = function(_, err) log:send({ name, tostring(err) }) end,
        })
      end
      local _ <close> = closer("outer")
      pcall(function()
        local _ <close> = closer("middle")
        coroutine.wrap(function()
          local _ <close> = closer("inner")
          go.exit()
        end)()
      end)
    end)
    assert.same({ true }, { task:join() })
    log:close()
    for _, name in ipairs({ "inner", "middle", "outer" }) do
      assert.same({ name, "nil" }, log:recv())
    end
  end)

  it("goes on when a __close handler fails", function()
    local log = go.chan(1)
    local task = go.spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function() log:send("closed") end,
      })
      local _ <close> = setmetatable({}, { __close = error })
      go.exit("result")
    end)
    task:join()
    assert.equal("closed", log:recv(0))
  end)

  it("lets __close handlers wait", function()
    local gate = go.chan()
    local task = helper.parked(go.spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function() gate:recv() end,
      })
      go.exit("result")
    end))
    assert.same({ nil, "timeout" }, { task:join(0) })
    gate:close()
    assert.same({ true, "result" }, { task:join() })
  end)

  it("in main waits for the other goroutines", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local _ <close> = setmetatable({}, {
        __close = function() print("closed") end,
      })
      go(function()
        go.sleep(0.02)
        print("the other")
      end)
      pcall(go.exit)
      print("not reached")
    ]])
    assert.equal("closed\nthe other\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.code)
  end)

  for when, script in pairs({
    ["before"] = [[
      local go = require("goroutines")
      go(function() go.sleep(0.02) print("the other") end)
      go.self():cancel()
      go.exit()
    ]],
    ["then"] = [[
      local go = require("goroutines")
      local main = go.self()
      go(function()
        for _ = 1, 3 do
          go.sleep(0.01)
          main:cancel()
        end
        print("the other")
      end)
      go.exit()
    ]],
  }) do
    it("in main waits for them if it is cancelled " .. when, function()
      local result = helper.lua({ script })
      assert.same({ 0, "the other\n", "" }, { result.code, result.stdout, result.stderr })
    end)
  end
end)
