-- libcurl's calls that do not block, in goroutines that wait for its descriptors:
-- examples/curl.lua, in processes of their own.

local helper = require("spec.helper")
local servers = require("spec.servers")

describe("libcurl", function()
  if not package.searchpath("curl_multi", package.cpath) then
    pending("left out, for it was not there when the tests were built (.ci/setup test)")
    return
  end

  local server, port

  before_each(function() server, port = servers.start("examples/httpd.lua") end)
  after_each(servers.kill_all)

  local function run(text, procs)
    local output = helper.output({ ([[
      local go = require("goroutines")
      local Client = require("examples.curl")
      local base = "http://127.0.0.1:%d"
    ]]):format(port) .. text, env = { GOROUTINES_PROCS = procs or 1 } })
    assert.equal("stopped\n", servers.stop(server))
    return output
  end

  -- On one processor, and on several.
  local function it_on_each(sentence, body)
    for _, procs in ipairs({ 1, 4 }) do
      it(sentence .. " (GOROUTINES_PROCS=" .. procs .. ")", function() body(procs) end)
    end
  end

  it_on_each("carries 20 texts both ways at once", function(procs)
    assert.equal("20 came back\n", run([[
      local client <close> = Client.new()
      local group <close> = go.group()
      for i = 1, 20 do
        group:spawn(function()
          local text = (i .. "."):rep(60000)
          local body, status = client:fetch(base .. "/echo", text)
          return body == text and status == 200
        end)
      end
      local count = 0
      for _, result in ipairs(group:results()) do
        count = count + (result[2] and 1 or 0)
      end
      print(count .. " came back")
    ]], procs))
  end)

  it("waits for 20 answers at once, and a ticker keeps its pace", function()
    -- Each takes half a second.
    local fetched, seconds, ticks, gap, threads = run([[
      local ticks, gap, threads, last = 0, 0, 0, go.now()
      local client <close> = Client.new()
      local group <close> = go.group()
      local start, count = go.now(), 0
      for _ = 1, 20 do
        group:spawn(client.fetch, client, base .. "/slow")
      end
      local ended = go.chan()
      local ticking = go.spawn(function()
        while go.select(ended, go.default) == 2 do
          go.sleep(0.005)
          local now = go.now()
          ticks, gap, last = ticks + 1, math.max(gap, now - last), now
          threads = math.max(threads, go.stats().threads)
        end
        return ticks, gap, threads
      end)
      for _, result in ipairs(group:results()) do
        count = count + (result[2] == "slow\n" and 1 or 0)
      end
      print(count, go.now() - start)
      ended:close()
      print(select(2, ticking:join()))
    ]]):match("^(%d+)\t(%S+)\n(%d+)\t(%S+)\t(%d+)\n$")
    assert.equal("20", fetched)
    assert.is_true(tonumber(seconds) < helper.within(3))
    assert.is_true(tonumber(ticks) > 20)
    assert.is_true(tonumber(gap) < helper.within(0.25))
    assert.is_true(tonumber(threads) < 10)
  end)

  it("tells its errors", function()
    assert.equal("nil\ttrue\nnil\ttrue\n1\t200\n", run([[
      local client <close> = Client.new()
      local function fails(url, pattern)
        local body, why = client:fetch(url)
        print(body, why:find(pattern) and true or why)
      end
      local l = go.net.listen("127.0.0.1", 0)
      local refused = "http://127.0.0.1:" .. l:port()
      l:close()
      fails(refused, "^Failed to connect to 127.0.0.1 port %d+")
      fails("nonsense://x", "^Protocol .nonsense. not supported")
      local body, status = client:fetch(base .. "/hits")
      print(body:sub(1, -2), status)
    ]]))
  end)

  it_on_each("is left by cancelled transfers, and nothing of them stays", function(procs)
    assert.equal("true\nfalse\ttrue\ntrue\n21\ntrue\tnil\tclosed\ntrue\n", run([[
      local helper = require("spec.helper")
      local function sockets() -- the runtime opens other files now and then
        local count = 0
        for _, entry in ipairs(go.fs.readdir("/proc/self/fd")) do
          local link = go.fs.readlink("/proc/self/fd/" .. entry.name) or ""
          count = count + (link:find("^socket") and 1 or 0)
        end
        return count
      end
      do
        local first <close> = Client.new()
        for _ = 1, 20 do first:fetch(base .. "/hits") end
      end
      local silent = go.net.listen("127.0.0.1", 0)
      local url = "http://127.0.0.1:" .. silent:port()
      local function ends(conn) -- when it has been closed on the other side
        local _ <close> = conn
        return conn:read("a") ~= nil
      end
      local baseline, count = helper.baseline(), sockets()
      do
        local client <close> = Client.new()
        local conn, limit = nil, 0.025
        repeat -- until that is enough to connect
          limit = 2 * limit
          local ok, why = go.with_timeout(limit, client.fetch, client, url)
          assert(ok == nil and why == "timeout")
          conn = silent:accept(0)
        until conn
        print(ends(conn))

        local task = go.spawn(client.fetch, client, url)
        conn = silent:accept()
        conn:read()
        task:cancel()
        local ok, err = task:join()
        print(ok, go.is_cancelled(err))
        print(ends(conn))
        io.write((client:fetch(base .. "/hits"))) -- others go on

        task = go.spawn(client.fetch, client, url)
        conn = silent:accept()
        conn:read()
        client:close()
        print(task:join())
        print(ends(conn))
      end
      helper.check_baseline(baseline)
      assert(sockets() == count)
    ]], procs))
  end)
end)
