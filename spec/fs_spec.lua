-- Files and directories.

local go = require("goroutines")
local helper = require("spec.helper")

local fs = go.fs

local function failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

describe("the file system", function()
  local dir

  before_each(function() dir = assert(fs.mkdtemp("/tmp/goroutines_XXXXXX")) end)
  after_each(function() os.execute("rm -r " .. dir) end)

  local function path(name)
    return dir .. "/" .. name
  end

  it("reads and writes whole files", function()
    local data = ("some bytes\0\n"):rep(10000)
    assert.is_true(fs.write_file(path("a"), data))
    assert.is_true(fs.read_file(path("a")) == data)
    assert.is_true(fs.write_file(path("a"), ""))
    assert.equal("", fs.read_file(path("a")))
    assert.matches("Name:", fs.read_file("/proc/self/status"))
  end)

  it("tells what a file is", function()
    fs.write_file(path("a"), "12345")
    fs.symlink("a", path("link"))
    local info = fs.stat(path("link"))
    assert.same({ "file", 5, 1 }, { info.type, info.size, info.nlink })
    assert.is_true(math.abs(info.mtime - os.time()) < 60)
    for _, key in ipairs({ "mode", "uid", "gid", "ino", "atime", "ctime" }) do
      assert.is_number(info[key])
    end
    assert.equal("link", fs.lstat(path("link")).type)
    assert.equal("directory", fs.stat(dir).type)
    assert.equal("char", fs.stat("/dev/null").type)
    assert.equal("a", fs.readlink(path("link")))
  end)

  it("lists directories", function()
    assert.is_true(fs.mkdir(path("sub")))
    assert.is_true(fs.mkdir(path("private"), tonumber("700", 8)))
    fs.write_file(path("b"), "")
    fs.symlink("b", path("c"))
    assert.same({
      { name = "b", type = "file" },
      { name = "c", type = "link" },
      { name = "private", type = "directory" },
      { name = "sub", type = "directory" },
    }, fs.readdir(dir))
    assert.same({}, fs.readdir(path("sub")))
    assert.equal(tonumber("700", 8), fs.stat(path("private")).mode)
  end)

  it("renames, copies and removes", function()
    fs.write_file(path("a"), "content")
    assert.is_true(fs.rename(path("a"), path("b")))
    assert.is_true(fs.copyfile(path("b"), path("c")))
    assert.equal("content", fs.read_file(path("c")))
    assert.is_true(fs.unlink(path("b")))
    assert.is_true(fs.unlink(path("c")))
    fs.mkdir(path("d"))
    assert.is_true(fs.rmdir(path("d")))
    assert.same({}, fs.readdir(dir))
  end)

  it("says what is wrong", function()
    local no = path("no")
    local absent = { nil, no .. ": no such file or directory", "ENOENT" }
    for _, name in ipairs({ "read_file", "stat", "lstat", "readdir", "unlink",
                            "rmdir", "readlink", "open", "watch" }) do
      assert.same(absent, { fs[name](no) })
    end
    assert.same(absent, { fs.rename(no, dir) })
    assert.same(absent, { fs.copyfile(no, path("x")) })
    assert.same({ nil, dir .. ": file already exists", "EEXIST" },
      { fs.mkdir(dir) })
    assert.same({ nil, dir .. ": file already exists", "EEXIST" },
      { fs.symlink("x", dir) })
    fs.write_file(path("f"), "")
    assert.same({ nil, dir .. ": directory not empty", "ENOTEMPTY" },
      { fs.rmdir(dir) })
    assert.equal("EISDIR", select(3, fs.read_file(dir)))
    assert.equal("EISDIR", select(3, fs.write_file(dir, "x")))
    assert.equal("ENOENT", select(3, fs.mkdtemp("/no/such/XXXXXX")))
  end)

  it("tells misuse", function()
    local function check(message, f, ...)
      assert.equal("bad argument " .. message, failure(f, ...))
    end
    for name, f in pairs(fs) do
      check("#1 to '" .. name .. "' (string expected, got table)", f, {})
      check("#1 to '" .. name .. "' (a string with a zero byte in it)", f,
        "a\0")
    end
    check("#2 to 'write_file' (string expected, got nil)", fs.write_file, "x",
      nil)
    check("#2 to 'rename' (string expected, got no value)", fs.rename, "x")
    check("#2 to 'mkdir' (4096 is not from 0 to 4095)", fs.mkdir, "x", 4096)
    check("#1 to 'mkdtemp' (a name that ends in XXXXXX expected)", fs.mkdtemp,
      "/tmp/x")
    check("#2 to 'open' (a mode of io.open expected)", fs.open, "x", "rw")
    check("#2 to 'open' (a mode of io.open expected)", fs.open, "x", 1)
    assert.matches("too many arguments to 'stat'", failure(fs.stat, "x", 1))
  end)

  describe("opens files, which", function()
    it("read and write as io's do", function()
      local f <close> = assert(fs.open(path("a"), "w+"))
      assert.equal(f, f:write("one\n", 2, "\nthree"))
      assert.equal(11, f:seek())
      assert.equal(0, f:seek("set"))
      assert.same({ "one", 2, "\n", "three" }, { f:read("l", "n", "L", "a") })
      assert.is_nil(f:read("l"))
      assert.equal(4, f:seek("set", 4))
      assert.equal(6, f:seek("cur", 2))
      assert.equal("three", f:read("s"))
      assert.equal(8, f:seek("end", -3))
      assert.equal("ree", f:read(10))
      assert.is_true(f:sync())
      assert.matches("^file: ", tostring(f))
    end)

    it("write where they have read to", function()
      fs.write_file(path("a"), "0123456789")
      local f <close> = fs.open(path("a"), "r+b")
      assert.equal("012", f:read(3))
      f:write("abc")
      assert.equal("678", f:read(3))
      f:seek("cur", -1)
      f:write("x")
      assert.equal("012abc67x9", fs.read_file(path("a")))
    end)

    it("append", function()
      fs.write_file(path("a"), "1")
      local f <close> = fs.open(path("a"), "a+")
      f:write("2")
      f:seek("set")
      f:write("3")
      f:seek("set")
      assert.equal("123", f:read("a"))
    end)

    it("iterate over lines", function()
      fs.write_file(path("a"), ("line\n"):rep(10000) .. "last")
      local count, last = 0, nil
      for line in fs.open(path("a")):lines() do
        count, last = count + 1, line
      end
      assert.same({ 10001, "last" }, { count, last })
    end)

    it("fail as the system says", function()
      fs.write_file(path("a"), "x")
      local f <close> = fs.open(path("a"))
      assert.same({ nil, "bad file descriptor", "EBADF" }, { f:write("x") })
      assert.equal("EINVAL", select(3, f:seek("set", -1)))
      assert.equal("x", f:read())
      local w <close> = fs.open(path("a"), "w")
      assert.same({ nil, "bad file descriptor", "EBADF" }, { w:read() })
    end)

    it("are closed", function()
      local f = fs.open(path("a"), "w")
      assert.is_true(f:close())
      assert.same({ nil, "closed" }, { f:close() })
      assert.same({ nil, "closed" }, { f:read() })
      assert.same({ nil, "closed" }, { f:write("x") })
      assert.same({ nil, "closed" }, { f:seek() })
      assert.same({ nil, "closed" }, { f:sync() })
      assert.matches("closed", tostring(f))
    end)

    it("are used by any goroutine, one at a time", function()
      local f = fs.open(path("a"), "w+")
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = go.spawn(function()
          for _ = 1, 100 do
            repeat until pcall(f.write, f, "line ", i, "\n")
          end
        end)
      end
      for _, task in ipairs(tasks) do
        assert.same({ true }, { task:join() })
      end
      f:seek("set")
      local count = 0
      for line in f:lines() do
        assert.matches("^line %d+$", line)
        count = count + 1
      end
      assert.equal(1000, count)
      f:close()
    end)

    it("tell misuse", function()
      local f <close> = fs.open(path("a"), "w+")
      local function check(message, g, ...)
        assert.equal("bad argument " .. message, failure(g, ...))
      end
      check("#1 to 'read' (invalid format)", f.read, f, "x")
      check("#1 to 'write' (string expected, got table)", f.write, f, {})
      check("#1 to 'seek' (\"set\", \"cur\" or \"end\" expected)", f.seek, f,
        "middle")
      check("#2 to 'seek' (number expected, got string)", f.seek, f, "set", "1")
      assert.matches("calling 'seek' on bad self", failure(f.seek, {}))
    end)
  end)

  describe("watches", function()
    it("directories", function()
      local ch <close> = setmetatable({ ch = fs.watch(dir) },
        { __close = function(self) self.ch:close() end })
      local watch = ch.ch
      fs.write_file(path("new"), "x")
      assert.same({ name = "new", event = "rename" }, watch:recv(5))
      assert.same({ name = "new", event = "change" }, watch:recv(5))
      helper.wait_until(function() return not watch:recv(0.05) end)
      fs.unlink(path("new"))
      assert.same({ name = "new", event = "rename" }, watch:recv(5))
    end)

    it("files, for other goroutines", function()
      fs.write_file(path("a"), "x")
      local watch = fs.watch(path("a"))
      local task = helper.blocked(function() return watch:recv().event end)
      fs.write_file(path("a"), "y")
      assert.same({ true, "change" }, { task:join() })
      watch:close()
    end)

    it("until the channel is closed or garbage", function()
      for _ = 1, 20 do
        local watch = fs.watch(dir)
        fs.write_file(path("a"), "x")
        watch:close()
        fs.watch(dir)
      end
      collectgarbage()
      collectgarbage()
      assert.is_true(fs.write_file(path("a"), "y"))
    end)
  end)

  it("serves others while one waits for the disk", function()
    local fifo = path("fifo")
    os.execute("mkfifo " .. fifo)
    helper.each_procs({ 1, 2 }, function()
      local reader = go.spawn(function() return fs.read_file(fifo) end)
      local ticks = 0
      for _ = 1, 10 do
        go.sleep(0.001)
        ticks = ticks + 1
      end
      assert.equal(10, ticks)
      fs.write_file(fifo, "through")
      assert.same({ true, "through" }, { reader:join() })
    end)
  end)
end)

describe("the end of the process", function()
  it("does not wait for the disk", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local fifo = os.tmpname()
      os.remove(fifo)
      os.execute("mkfifo " .. fifo)
      go(function() go.fs.read_file(fifo) end)
      go.sleep(0.05)
      os.remove(fifo)
      print("bye")
    ]])
    assert.same({ "bye\n", 0 }, { result.stdout, result.code })
    assert.is_true(result.seconds < helper.within(2))
  end)
end)
