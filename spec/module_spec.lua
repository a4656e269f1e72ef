local go = require("goroutines")
local helper = require("spec.helper")

-- Files of modules are in a directory of the program's own, `dir`, which ends
-- with it.
local PRELUDE = [[
local go = require("goroutines")
local function joined(task) return select(2, assert(task:join())) end
local function run(f, ...) return joined(go.spawn(f, ...)) end
local function failure(f, ...)
  local ok, message = go.spawn(f, ...):join()
  assert(not ok)
  return message
end
local dir = os.tmpname()
os.remove(dir)
assert(os.execute("mkdir " .. dir))
local function file(name, text)
  local f <close> = assert(io.open(dir .. "/" .. name .. ".lua", "w"))
  f:write(text)
end
local _ <close> = setmetatable({}, {
  __close = function() os.execute("rm -r " .. dir) end,
})
]]

-- With `dir` on the path.
local ON_PATH = PRELUDE .. 'package.path = dir .. "/?.lua;" .. package.path\n'

local function output(script)
  return helper.output({ ON_PATH .. script })
end

local CLASS = [==[
file("animal", [[
  local Animal = { loaded_in = require("goroutines").self().id }
  Animal.__index = Animal
  function Animal.new(name) return setmetatable({ name = name }, Animal) end
  function Animal:speak() return self.name .. " speaks" end
  return Animal
]])
local Animal = require("animal")
]==]

describe("a module in a message", function()
  it("is the receiver's own", function()
    assert.equal("true\ttrue\ttrue\n", output(CLASS .. [[
      print(run(function(argument, t)
        local own = require("animal")
        return argument == own, t.list[1] == own, Animal == own
      end, Animal, { list = { Animal } }))
    ]]))
  end)

  it("is loaded there, not copied", function()
    assert.equal("1\tfalse\n", output(CLASS .. [[
      local id = run(function() return Animal.loaded_in end)
      print(Animal.loaded_in, id == 1)
    ]]))
  end)

  it("does not bring what changed in the sender's", function()
    assert.equal("nil\tnil\n", output([==[
      file("m", "return { nested = {} }")
      local m = require("m")
      m.word, m.nested.word = "changed", "changed"
      print(run(function() return m.word, m.nested.word end))
    ]==]))
  end)

  it("comes back as the sender's", function()
    assert.equal("true\ttrue\n", output(CLASS .. [[
      print(run(function() return Animal end) == Animal,
        run(function() return require("animal").new end) == Animal.new)
    ]]))
  end)

  it("gives its functions by name, also to start a goroutine", function()
    assert.equal("a\ttrue\ttrue\n", output(CLASS .. [[
      local new = Animal.new
      print(run(Animal.new, "a").name, run(function(f)
        return f == require("animal").new, new == f
      end, new))
    ]]))
  end)

  it("may be started as a goroutine where its file uses globals", function()
    assert.equal("7\n", output([==[
      file("m", "local t = {} function t.f(x) return tonumber(x) end return t")
      print(run(require("m").f, "7"))
    ]==]))
  end)

  it("may be a function", function()
    assert.equal("true\t3\n", output([==[
      file("m", "local n = 0 return function() n = n + 1 return n end")
      local f = require("m")
      f()
      print(run(function(g)
        f()
        f()
        return g == require("m"), g()
      end, f))
    ]==]))
  end)

  it("may be one of a package, and need not be captured", function()
    assert.equal("true\n", output([==[
      os.execute("mkdir " .. dir .. "/pack")
      file("pack/init", "return {}")
      file("pack/sub", "return {}")
      package.path = dir .. "/?/init.lua;" .. package.path
      require("pack")
      print(run(function(sub) return sub == require("pack.sub") end,
        require("pack.sub")))
    ]==]))
  end)

  it("may have been loaded after the first goroutine", function()
    assert.equal("true\n", output([==[
      run(function() end)
      file("late", "return {}")
      print(run(function(m) return m == require("late") end, require("late")))
    ]==]))
  end)

  it("keeps its own tables one level inside, but not deeper", function()
    assert.equal("true\tfalse\n", output([==[
      file("m", "return { class = { inner = {} } }")
      local m = require("m")
      print(run(function(class, inner)
        local own = require("m")
        return class == own.class, inner == own.class.inner
      end, m.class, m.class.inner))
    ]==]))
  end)
end)

describe("an instance of a module's class", function()
  it("keeps its class through a channel, both ways", function()
    assert.equal("true\trex speaks\ntrue\ttom speaks\n", output(CLASS .. [[
      local there, back = go.chan(), go.chan()
      go(function()
        local a = there:recv()
        back:send({
          same = getmetatable(a) == require("animal"), says = a:speak(),
        })
        back:send(require("animal").new("tom"))
      end)
      there:send(Animal.new("rex"))
      local answer = back:recv()
      print(answer.same, answer.says)
      local b = back:recv()
      print(getmetatable(b) == Animal, b:speak())
    ]]))
  end)

  it("keeps it as argument, result and upvalue, and in tables", function()
    assert.equal("true\ttrue\n", output(CLASS .. [[
      local captured = Animal.new("captured")
      local result = run(function(list)
        local own = require("animal")
        assert(getmetatable(captured) == own)
        assert(getmetatable(list[1]) == own and getmetatable(list[2]) == own)
        return list
      end, { Animal.new("a"), Animal.new("b") })
      print(getmetatable(result[1]) == Animal, getmetatable(result[2]) == Animal)
    ]]))
  end)

  it("keeps a class that inherits from another module's", function()
    assert.equal("true\ttrue\trex speaks, barking\n", output(CLASS .. [==[
      file("dog", [[
        local Animal = require("animal")
        local Dog = setmetatable({}, { __index = Animal })
        Dog.__index = Dog
        function Dog:bark() return self:speak() .. ", barking" end
        return { Dog = Dog }
      ]])
      local Dog = require("dog").Dog
      print(run(function(d)
        local Own = require("dog").Dog
        return getmetatable(d) == Own,
          getmetatable(Own).__index == require("animal"), d:bark()
      end, setmetatable({ name = "rex" }, Dog)))
    ]==]))
  end)

  it("is rebuilt in a goroutine that has not loaded the module", function()
    assert.equal("rex speaks\n", output(CLASS .. [[
      local ch = go.chan(1)
      ch:send(Animal.new("rex"))
      print(run(function(c) return c:recv():speak() end, ch))
    ]]))
  end)
end)

describe("what a standard library holds", function()
  it("arrives as the receiver's own", function()
    local values = "table.insert, math.random, io.stdout, io.popen, " ..
      "os.execute, string, coroutine.wrap, package.loaded, _G, go, go.chan, " ..
      "require, string.format, math, io.stderr, debug.sethook, print"
    assert.equal("true\n", output(([[
      print(run(function(...)
        local go = require("goroutines")
        local own = table.pack(%s)
        for i, v in ipairs(own) do
          if v ~= select(i, ...) then return i end
        end
        return own.n == select("#", ...)
      end, %s))
    ]]):format(values, values)))
  end)

  it("works there: a random number, a line of output", function()
    assert.equal("true\nfrom the goroutine\n", output([[
      local out, random, write = io.stdout, math.random, io.write
      out:setvbuf("no")
      print(run(function() local r = random(5) return r >= 1 and r <= 5 end))
      run(function() out:write("from the ") write("goroutine\n") out:flush() end)
    ]]))
  end)

  it("comes along if the program has added it", function()
    assert.equal("a|a|7|2\n", output([[
      function string.trim(s) return s:match("^%s*(.-)%s*$") end
      function table.count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
      math.constants = { seven = 7 }
      print(run(function()
        return table.concat({ (" a "):trim(), string.trim("a "),
          math.constants.seven, table.count({ 1, 2 }) }, "|")
      end))
    ]]))
  end)

  it("comes along if the program has replaced it", function()
    assert.equal("mine 1\n", output([[
      local stock = string.format
      function string.format(...) return "mine " .. stock(...) end
      print(run(function() return ("%d"):format(1) end))
    ]]))
  end)

  it("brings the globals that an addition mentions", function()
    assert.equal("<a>\n", output([[
      mark = "<%s>"
      function string.marked(s) return mark:format(s) end
      print(run(function() return ("a"):marked() end))
    ]]))
  end)

  it("stays away if it cannot be sent, and is nil", function()
    assert.equal("nil\n", output([[
      table.thread = { coroutine.create(print) }
      print(run(function() return table.thread end))
    ]]))
  end)
end)

describe("what the program added to a module of a file", function()
  it("comes along if it is mentioned", function()
    assert.equal("added base\ttrue\n", output([==[
      file("m", "return { base = 'base' }")
      local m = require("m")
      run(function() return m end)
      function m.added() return "added " .. m.base end
      print(run(function() return m.added(), m == require("m") end))
    ]==]))
  end)

  it("comes along through a method of a class", function()
    assert.equal("rex jumps\n", output(CLASS .. [[
      function Animal:jump() return self.name .. " jumps" end
      print(run(function(a) return a:jump() end, Animal.new("rex")))
    ]]))
  end)

  it("does not replace what the receiver's has", function()
    assert.equal("goroutine's\n", output([==[
      file("m", "return { who = function() return \"goroutine's\" end }")
      local m = require("m")
      function m.who() return "main's" end
      print(run(function() return m.who() end))
    ]==]))
  end)
end)

describe("a module put into package.loaded by hand", function()
  it("is copied, and found by require", function()
    assert.equal("word\ttrue\n", output([[
      local m = { word = "word" }
      package.loaded["by.hand"] = m
      print(run(function()
        return require("by.hand").word, require("by.hand") == m
      end))
    ]]))
  end)

  it("is found by require alone", function()
    assert.equal("word\n", output([[
      package.loaded.byhand = { word = function() return "word" end }
      print(run(function() return require("byhand").word() end))
    ]]))
  end)

  it("keeps the receiver's own if there is one", function()
    assert.equal("first\ttrue\n", output([[
      local m = { word = "first" }
      package.loaded.byhand = m
      local ch = go.chan(1)
      local task = go.spawn(function()
        local other = ch:recv()
        return m.word, other == m
      end)
      m.word = "second"
      ch:send(m)
      print(joined(task))
    ]]))
  end)

  it("may be a class", function()
    assert.equal("true\tname\n", output([[
      local Class = {}
      Class.__index = Class
      function Class:get() return self.name end
      package.loaded["my.class"] = Class
      print(run(function(o)
        return getmetatable(o) == require("my.class"), o:get()
      end, setmetatable({ name = "name" }, Class)))
    ]]))
  end)

  it("may refer to itself and be deep", function()
    assert.equal("true\t500\n", output([[
      local m = { list = {} }
      m.self = m
      for i = 1, 500 do m.list = { next = m.list } end
      package.loaded.byhand = m
      print(run(function()
        local own, n = require("byhand"), 0
        local t = own.list
        while t.next do t, n = t.next, n + 1 end
        return own.self == own, n
      end))
    ]]))
  end)
end)

describe("where modules are looked for", function()
  it("is what the program has set: package.path", function()
    assert.equal("true\nword\n", helper.output({ PRELUDE .. [==[
      file("m", "return { word = 'word' }")
      package.path = dir .. "/?.lua"
      print(run(function() return package.path end) == package.path)
      print(run(function() return require("m").word end))
    ]==] }))
  end)

  it("is what the program has set: package.cpath", function()
    assert.equal("true\n", helper.output({ PRELUDE .. [==[
      package.cpath = dir .. "/?.so;" .. package.cpath
      print(run(function() return package.cpath end) == package.cpath)
    ]==] }))
  end)

  it("applies to modules among arguments", function()
    assert.equal("true\n", helper.output({ PRELUDE .. [==[
      file("m", "return {}")
      package.path = dir .. "/?.lua"
      print(run(function(m) return m == require("m") end, require("m")))
    ]==] }))
  end)

  it("includes the loaders in package.preload", function()
    assert.equal("preloaded m\ttrue\n", output([[
      package.preload.m = function(name) return { word = "preloaded " .. name } end
      local m = require("m")
      print(run(function() return require("m").word, m == require("m") end))
    ]]))
  end)

  it("includes a loader whose module is not loaded yet", function()
    assert.equal("word\n", output([[
      word = "word"
      package.preload.m = function() return { word = word } end
      print(run(function() return require("m").word end))
    ]]))
  end)

  it("includes the globals and modules that a loader mentions", function()
    assert.equal("word and other\n", output([[
      word = "word"
      package.preload.other = function() return { word = "other" } end
      package.preload.m = function()
        return { word = word .. " and " .. require("other").word }
      end
      local m = require("m")
      print(run(function() return m.word end))
    ]]))
  end)

  it("includes the loader of a class in an argument", function()
    assert.equal("true\n", output([[
      package.preload.class = function() return { __name = "class" } end
      print(run(function(o) return getmetatable(o) == require("class") end,
        setmetatable({}, require("class"))))
    ]]))
  end)
end)

describe("a module that does not load in the receiver", function()
  local BROKEN = [==[
    file("broken", [[
      if require("goroutines").self().id ~= 1 then error("refuses to load") end
      return { f = function() end }
    ]])
    local broken = require("broken")
  ]==]

  it("fails the task, with an error that names it", function()
    local message = output(BROKEN .. [[
      print(failure(function() return broken end))
      print(failure(broken.f))
    ]])
    assert.matches("broken.*refuses to load.*broken.*refuses to load", message)
  end)

  it("raises in recv, and the channel goes on", function()
    local message = output(BROKEN .. [[
      local ch = go.chan(3)
      ch:send({ 1, broken })
      ch:send("next")
      local task = go.spawn(function()
        local ok, message = pcall(ch.recv, ch)
        return ok, ch:recv(), message
      end)
      print(joined(task))
    ]])
    assert.matches("^false\tnext\t.*broken.*refuses to load", message)
  end)

  it("raises in recv if it is not found", function()
    local message = output([==[
      file("gone", "return {}")
      local gone, ch = require("gone"), go.chan(1)
      ch:send(gone)
      os.remove(dir .. "/gone.lua")
      print(run(function(c)
        local ok, message = pcall(c.recv, c)
        return ok, message
      end, ch))
    ]==])
    assert.matches("^false\t.*module 'gone' not found", message)
  end)

  it("is named if it lacks there what was sent", function()
    local message = output([==[
      file("m", [[
        local id = require("goroutines").self().id
        return { [id == 1 and "main" or "other"] = function() end }
      ]])
      print(failure(function(f) return f end, require("m").main))
    ]==])
    assert.matches("module 'm' has no 'main' here", message, 1, true)
  end)
end)

describe("a searcher of the program's own", function()
  it("does not make a module put by hand one that can be loaded", function()
    assert.equal("hi\n", output([[
      table.insert(package.searchers, function() return "no module of mine" end)
      package.loaded.byhand = { say = "hi" }
      local own = require("byhand")
      print(run(function() return own.say end))
    ]]))
  end)
end)

-- Looked for and not loaded: luv and LuaSocket make the process ignore SIGPIPE,
-- which the scripts of other specs would inherit.
local function is_installed(name)
  return package.searchpath(name, package.path) or
    package.searchpath(name, package.cpath)
end

-- For specs that need a module that may not be installed.
local function it_with(names, sentence, body)
  for _, name in ipairs(names) do
    if not is_installed(name) then
      return
    end
  end
  it(sentence, body)
end

describe("a C module", function()
  it_with({ "lpeg" }, "arrives as the receiver's own: lpeg", function()
    assert.equal("true\ttrue\t4\n", output([[
      local lpeg = require("lpeg")
      local match, P = lpeg.match, lpeg.P
      print(run(function(m)
        local own = require("lpeg")
        return own == lpeg, m == own.match, match(P("abc"), "abcd")
      end, match))
    ]]))
  end)

  it_with({ "cjson" }, "arrives as the receiver's own: cjson", function()
    assert.equal('true\t[1,null]\n', output([[
      local cjson = require("cjson")
      local encode, null = cjson.encode, cjson.null
      print(run(function() return cjson == require("cjson"), encode({ 1, null }) end))
    ]]))
  end)

  it_with({ "socket" }, "arrives as the receiver's own: socket", function()
    assert.equal("true\ttrue\n", output([[
      local socket = require("socket")
      local gettime = socket.gettime
      print(run(function() return socket == require("socket"), gettime() > 0 end))
    ]]))
  end)

  local USES = {
    lpeg = [[
      local lpeg = require("lpeg")
      local word = lpeg.C(lpeg.R("az")^1)
      local list = lpeg.Ct(word * (lpeg.P(" ") * word)^0)
      for _ = 1, 20 do assert(#list:match("one two three") == 3) end
    ]],
    lfs = [[
      local lfs = require("lfs")
      for name in lfs.dir("/") do assert(lfs.attributes("/" .. name) or true) end
      assert(lfs.attributes("/", "mode") == "directory")
    ]],
    cjson = [[
      local cjson = require("cjson")
      for _ = 1, 20 do
        local text = cjson.encode({ list = { 1, 2, { id = id } } })
        assert(cjson.decode(text).list[3].id == id)
      end
    ]],
    ["socket.core"] = [[
      local core = require("socket.core")
      local udp = core.udp()
      assert(udp:setsockname("127.0.0.1", 0))
      local _, port = udp:getsockname()
      assert(udp:sendto("to itself", "127.0.0.1", port))
      assert(udp:receive() == "to itself")
      udp:close()
    ]],
    luv = [[
      local uv = require("luv")
      local fired
      local timer = uv.new_timer()
      timer:start(1, 0, function() fired = true timer:close() end)
      uv.run()
      assert(fired)
    ]],
  }

  local NAMES = { "lpeg", "lfs", "cjson", "socket.core", "luv" }

  for _, name in ipairs(NAMES) do
    it_with({ name }, "works in a hundred goroutines at once: " .. name, function()
      assert.equal("100\n", output(([[
        local done = go.chan(100)
        for id = 1, 100 do
          go(function() %s done:send(id) end)
        end
        local sum = 0
        for _ = 1, 100 do sum = sum + (done:recv() and 1) end
        print(sum)
      ]]):format(USES[name])))
    end)
  end

  for how, ends in pairs({
    ["go.exit"] = "go.exit('gone')",
    ["an error"] = "error('no', 0)",
    ["a wait"] = "go.sleep(0.01) return 'slept'",
  }) do
    it("lets go of the lock if its loading ends by " .. how, function()
      assert.equal("1\n", output(([[
        local task = go.spawn(function()
          on_load = function() %s end
          return require("fixture.calls")
        end)
        local others = {}
        for i = 1, 10 do
          others[i] = go.spawn(function()
            on_load = function() return 1 end
            return require("fixture.calls")
          end)
        end
        task:join()
        local sum = 0
        for i = 1, 10 do sum = sum + select(2, others[i]:join()) end
        print(sum // 10)
      ]]):format(ends)))
    end)
  end

  it_with(NAMES, "works beside others in a hundred goroutines", function()
    local uses = {}
    for i, name in ipairs(NAMES) do
      uses[i] = "do " .. USES[name] .. " end"
    end
    assert.equal("100\n", output(([[
      local done = go.chan(100)
      for id = 1, 100 do
        go(function() %s go.yield() done:send(id) end)
      end
      local sum = 0
      for _ = 1, 100 do sum = sum + (done:recv() and 1) end
      print(sum)
    ]]):format(table.concat(uses, "\n"))))
  end)
end)

describe("the module of the tests", function()
  it("is the same one after a channel", function()
    local ch = go.chan(1)
    ch:send({ helper, go, go.chan })
    local list = ch:recv()
    assert.is_true(list[1] == helper and list[2] == go and list[3] == go.chan)
  end)
end)
