-- The folders of csrc are layers: a file includes headers of its own layer and
-- of those before it, and only some layers know Lua or libuv.

local LAYERS = { "base", "value", "sched", "sync", "io", "lib" }
local rank = {}
for i, layer in ipairs(LAYERS) do
  rank[layer] = i
end

-- Headers of others that a layer may not include.
local FORBIDDEN = {
  base = { "lua.h", "lauxlib.h", "uv.h" },
  value = { "uv.h" },
  sync = { "lua.h", "lauxlib.h", "uv.h" },
  io = { "lua.h", "lauxlib.h" },
  lib = { "uv.h" },
}

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  return lines
end

local function includes_of(path)
  local found = {}
  for line in io.lines(path) do
    found[#found + 1] = line:match('^#include ["<]([^">]+)[">]')
  end
  return found
end

describe("a source file", function()
  local files = lines_of("find csrc -name '*.[ch]' | sort")

  it("lies in a layer", function()
    assert.is_true(#files > 40)
    for _, path in ipairs(files) do
      assert.is_truthy(rank[path:match("^csrc/(%w+)/")], path)
    end
  end)

  it("includes its own layer and those before it", function()
    for _, path in ipairs(files) do
      local own = path:match("^csrc/(%w+)/")
      for _, header in ipairs(includes_of(path)) do
        local other = header:match("^(%w+)/")
        if rank[other] then
          assert.is_true(rank[other] <= rank[own], path .. ": " .. header)
        end
      end
    end
  end)

  it("knows Lua and libuv only where its layer may", function()
    for _, path in ipairs(files) do
      for _, no in ipairs(FORBIDDEN[path:match("^csrc/(%w+)/")] or {}) do
        for _, header in ipairs(includes_of(path)) do
          assert.are_not.equal(no, header, path)
        end
      end
    end
  end)

  it("is in the build", function()
    local build = assert(io.open("CMakeLists.txt")):read("a")
    for _, path in ipairs(lines_of("find csrc -name '*.[cS]'")) do
      assert.is_truthy(build:find(path, 1, true), path)
    end
  end)
end)
