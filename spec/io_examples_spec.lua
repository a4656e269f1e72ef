-- The examples of servers and clients run, and so does the code of docs/io.md.

local go = require("goroutines")
local helper = require("spec.helper")
local servers = require("spec.servers")

local start, stop, kill_all = servers.start, servers.stop, servers.kill_all

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
      local server = servers.add(go.process.spawn({ "redis-server", "--port", port,
        "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        stdin = "null", stdout = "null", stderr = "null" }))
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

describe("the proxy", function()
  local listener, p, port

  before_each(function()
    listener = go.net.listen("127.0.0.1", 0)
    p, port = start("examples/proxy.lua 127.0.0.1 " .. listener:port())
  end)

  after_each(function()
    listener:close()
    kill_all()
  end)

  -- Both ends of a connection through it.
  local function pair()
    local client = assert(go.net.connect("127.0.0.1", port))
    local server = assert(listener:accept(helper.within(10)))
    client:set_timeout(helper.within(10))
    server:set_timeout(helper.within(10))
    return client, server
  end

  it("carries what comes, both ways", function()
    for i = 1, 5 do
      local client <close>, server = pair()
      local text = (i .. "."):rep(100000)
      local writer = go.spawn(function()
        client:write(text)
        client:shutdown()
      end)
      go(function()
        for data in server:lines("s") do
          server:write(data)
        end
        server:close()
      end)
      assert.is_true(client:read("a") == text)
      assert.same({ true }, { writer:join() })
    end
    assert.equal("stopped by TERM\n", stop(p))
  end)

  it("carries the end of one way while the other goes on", function()
    for _, swaps in ipairs({ false, true }) do
      local client <close>, server = pair()
      local first, second = client, server
      if swaps then
        first, second = server, client
      end
      first:write("all I have")
      first:shutdown()
      assert.equal("all I have", second:read("a"))
      for i = 1, 10 do
        second:write(i, "\n")
        assert.equal(i, first:read("n"))
      end
      second:close()
      assert.equal("\n", first:read("a"))
      server:close()
    end
    stop(p)
  end)

  it("ends both ways when one side fails", function()
    local client <close>, server = pair()
    client:write("not read")
    server:read(1)
    server:close() -- resets the connection
    assert.is_nil((client:read("s")))
    stop(p)
  end)

  it("closes when there is no server", function()
    listener:close()
    local client <close> = assert(go.net.connect("127.0.0.1", port))
    assert.is_nil((client:read("s")))
    stop(p)
  end)
end)

describe("the tail of a file", function()
  local path, p

  before_each(function()
    path = os.tmpname()
    go.fs.write_file(path, "one\n")
    p = servers.add(go.process.spawn({ "sh", "-c",
      "exec " .. helper.command .. " examples/tail.lua " .. path, stdout = "pipe" }))
    p.stdout:set_timeout(helper.within(10))
    assert.equal("one", p.stdout:read())
  end)

  after_each(function()
    kill_all()
    os.remove(path)
  end)

  local function append(text)
    local file <close> = go.fs.open(path, "a")
    file:write(text)
  end

  it("shows what is added", function()
    for i = 1, 20 do
      append(i .. "\n")
      assert.equal(tostring(i), p.stdout:read())
    end
    append("no end")
    assert.equal("no end", p.stdout:read(6))
    stop(p)
  end)

  it("goes on when it is truncated", function()
    for _, text in ipairs({ "1", "a longer line", "2" }) do
      append(text .. "\n")
      assert.equal(text, p.stdout:read())
      go.fs.write_file(path, "") -- is less than what has been read
      append("x\n")
      assert.equal("x", p.stdout:read())
    end
    stop(p)
  end)

  it("goes on with the file that replaces it", function()
    append("last")
    assert.equal("last", p.stdout:read(4))
    local other = path .. ".new"
    go.fs.write_file(other, "new\n")
    assert(go.fs.rename(other, path))
    assert.equal("new", p.stdout:read())
    assert(go.fs.unlink(path))
    go.fs.write_file(path, "newer\n")
    assert.equal("newer", p.stdout:read())
    append("and more\n")
    assert.equal("and more", p.stdout:read())
    stop(p)
  end)
end)

describe("the chat", function()
  local p, port

  before_each(function() p, port = start("examples/chat.lua") end)
  after_each(kill_all)

  local function join(name)
    local conn = assert(go.net.connect("127.0.0.1", port))
    conn:set_timeout(helper.within(20))
    assert.equal("Your name?", conn:read())
    conn:write(name, "\r\n")
    assert.equal("Welcome, " .. name, conn:read()) -- so others are told later
    return conn
  end

  it("tells all what one says", function()
    local ann <close> = join("Ann")
    local bob = join("Bob")
    assert.equal("Bob is here", ann:read())
    local eve <close> = join("Eve")
    assert.equal("Eve is here", ann:read())
    assert.equal("Eve is here", bob:read())
    bob:write("hello\n")
    assert.equal("Bob: hello", ann:read())
    assert.equal("Bob: hello", eve:read())
    bob:close()
    assert.equal("Bob has left", ann:read())
    assert.equal("Bob has left", eve:read())
    assert.equal("stopped by TERM\n", stop(p))
  end)

  it("drops who does not read, and others do not wait", function()
    local ann <close>, slow = join("Ann"), join("Slow")
    assert.equal("Slow is here", ann:read())
    local bob <close> = join("Bob")
    assert.equal("Bob is here", ann:read())
    local text, sent = ("x"):rep(100000), 0
    local line
    repeat -- until the slow one's buffers are full
      bob:write(text, "\n")
      sent = sent + 1
      line = ann:read()
    until line == "Slow has left"
    assert.is_true(sent > 100)
    assert.is_true(ann:read() == "Bob: " .. text)
    local got = 0
    while slow:read() do
      got = got + 1
    end
    assert.is_true(got < sent)
    slow:close()
    stop(p)
  end)
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
