-- The examples of servers and clients run, and so does the code of docs/io.md.

local go = require("goroutines")
local helper = require("spec.helper")

local started = {}

-- Nothing that a test started outlives it.
local function kill_all()
  while #started > 0 do
    table.remove(started):kill("KILL")
  end
end

-- Starts a script that prints its port; returns the process and the port.
local function start(script)
  local p = assert(go.process.spawn({ "sh", "-c",
    "exec " .. helper.command .. " " .. script, stdout = "pipe" }))
  started[#started + 1] = p
  p.stdout:set_timeout(helper.within(10))
  return p, tonumber(p.stdout:read():match("listening at (%d+)"))
end

-- Stops it and returns what it said.
local function stop(p)
  p:kill("TERM")
  local said = p.stdout:read("a")
  assert.equal(0, p:wait(helper.within(10)))
  kill_all()
  return said
end

describe("the echo server", function()
  after_each(kill_all)

  it("echoes for many, and stops", function()
    local p, port = start("examples/echo.lua")
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = go.spawn(function()
        local conn <close> = assert(go.net.connect("127.0.0.1", port))
        for n = 1, 50 do
          conn:write(i, " ", n, "\n")
          assert(conn:read() == i .. " " .. n)
        end
      end)
    end
    for _, task in ipairs(tasks) do
      assert.same({ true }, { task:join() })
    end
    assert.equal("stopped by TERM\n", stop(p))
  end)
end)

describe("the HTTP server", function()
  local p, port

  before_each(function() p, port = start("examples/httpd.lua") end)
  after_each(kill_all)

  local function connect()
    local conn = assert(go.net.connect("127.0.0.1", port))
    conn:set_timeout(helper.within(10))
    return conn
  end

  -- The status and body of the next response.
  local function response(conn)
    local status, length = tonumber(conn:read():match("^HTTP/1.1 (%d+)")), nil
    for line in conn:lines() do
      if line == "\r" then
        break
      end
      length = length or tonumber(line:match("^Content%-Length: (%d+)"))
    end
    return status, length > 0 and conn:read(length) or ""
  end

  local function request(conn, method, path, body)
    conn:write(method, " ", path, " HTTP/1.1\r\nHost: x\r\nContent-Length: ",
      #(body or ""), "\r\n\r\n", body or "")
    return response(conn)
  end

  it("answers on connections that stay open", function()
    local conn <close> = connect()
    for _ = 1, 20 do
      local status, body = request(conn, "GET", "/")
      assert.equal(200, status)
      assert.matches("^Hello from goroutine %d+\n$", body)
    end
    assert.same({ 200, "21\n" }, { request(conn, "GET", "/hits?since=1") })
    local body = ("x"):rep(100000)
    assert.same({ 200, body }, { request(conn, "POST", "/echo", body) })
    conn:close()
    stop(p)
  end)

  it("answers what is wrong", function()
    local conn <close> = connect()
    assert.equal(404, (request(conn, "GET", "/nothing")))
    assert.equal(405, (request(conn, "POST", "/hits")))
    conn:write("nonsense\r\n\r\n")
    assert.equal(400, (response(conn)))
    assert.is_nil(conn:read())
    local large <close> = connect()
    large:write("POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
    assert.equal(413, (response(large)))
    stop(p)
  end)

  it("lets requests finish when it stops", function()
    local conn <close> = connect()
    conn:write("GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n")
    local quick <close> = connect()
    local own = 0
    repeat -- until the slow one has begun
      own = own + 1
      local _, body = request(quick, "GET", "/hits")
    until tonumber(body) > own
    quick:close()
    p:kill("TERM")
    assert.same({ 200, "slow\n" }, { response(conn) })
    assert.equal("stopped\n", p.stdout:read("a"))
    assert.equal(0, p:wait())
    kill_all()
  end)
end)

-- A server that knows enough of Redis for the example.
local function fake_redis()
  local values, subscribers = go.map(), go.chan(10)
  local listener = go.net.listen("127.0.0.1", 0)

  local function command(conn)
    local count = conn:read("l")
    local words = {}
    for i = 1, count and tonumber(count:match("%d+")) or 0 do
      local length = tonumber(conn:read("l"):match("%d+"))
      words[i] = conn:read(length + 2):sub(1, length)
    end
    return count and words
  end

  local function bulk(text)
    return "$" .. #text .. "\r\n" .. text .. "\r\n"
  end

  local answers = {}
  function answers.SET(_, words)
    values:set(words[2], words[3])
    return "+OK\r\n"
  end
  function answers.GET(_, words)
    local value = values:get(words[2])
    return value and bulk(value) or "$-1\r\n"
  end
  function answers.DEL(_, words)
    for i = 2, #words do
      values:delete(words[i])
    end
    return ":" .. #words - 1 .. "\r\n"
  end
  function answers.INCRBY(_, words)
    local sum = math.tointeger(values:get(words[2]) or 0) + math.tointeger(words[3])
    values:set(words[2], tostring(sum))
    return ":" .. sum .. "\r\n"
  end
  function answers.SUBSCRIBE(conn, words)
    conn:write("*3\r\n", bulk("subscribe"), bulk(words[2]), ":1\r\n")
    subscribers:send(conn) -- others write to it from now on
    return ""
  end
  function answers.PUBLISH(_, words)
    local conn = subscribers:recv()
    conn:write("*3\r\n", bulk("message"), bulk(words[2]), bulk(words[3]))
    subscribers:send(conn)
    return ":1\r\n"
  end

  go(function()
    for conn in listener do
      go(function()
        for words in command, conn do
          local answer = answers[words[1]]
          conn:write(answer and answer(conn, words)
            or "-ERR unknown command '" .. words[1] .. "'\r\n")
        end
        conn:close()
      end)
    end
  end)
  return listener, function()
    subscribers:close()
    for _ in subscribers do end -- luacheck: ignore
    listener:close()
  end
end

local function has_redis()
  return go.process.run({ "sh", "-c", "command -v redis-server" }).code == 0
end

describe("the Redis client", function()
  after_each(kill_all)

  local function check(port)
    local lines = {}
    for line in helper.output({ args = "examples/redis.lua 127.0.0.1 " .. port,
                                limit = 20 }):gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    assert.matches("^wrong\tERR unknown command", lines[4])
    lines[4] = nil
    assert.same({ "set\tOK", "get\thello", "none\tfalse", nil,
                  "pipeline\t1000\t500500", "news\tmessage 1",
                  "news\tmessage 2", "news\tmessage 3", "closed\tnil\tclosed" },
      lines)
  end

  it("speaks to a server that knows its protocol", function()
    local listener, done = fake_redis()
    check(listener:port())
    done()
  end)

  if has_redis() then
    it("speaks to Redis", function()
      local probe <close> = go.net.listen("127.0.0.1", 0)
      local port = probe:port()
      probe:close()
      local server = go.process.spawn({ "redis-server", "--port", port,
        "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        stdin = "null", stdout = "null", stderr = "null" })
      started[#started + 1] = server
      local deadline = go.now() + helper.within(10)
      repeat
        local conn = go.net.connect("127.0.0.1", port)
        if conn then
          conn:close()
        else
          go.sleep(0.02)
        end
      until conn or go.now() > deadline
      check(port)
      server:kill()
      assert.equal(0, server:wait(helper.within(10)))
      kill_all()
    end)
  end
end)

describe("docs/io.md", function()
  local number = 0
  for code in assert(io.open("docs/io.md")):read("a"):gmatch("```lua\n(.-)```") do
    number = number + 1
    it("has code that runs: " .. number, function()
      assert.equal("", helper.output(code))
    end)
  end
end)
