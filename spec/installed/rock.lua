-- Run by .ci/rock against an installed rock, outside the source tree.

describe("the installed rock", function()
  local tree = assert(os.getenv("ROCK_TREE"))

  it("is what require finds", function()
    for _, name in ipairs { "goroutines", "goroutines.core", "goroutines.process" } do
      local path = package.searchpath(name, package.path) or
        package.searchpath(name, package.cpath)
      assert.equal(tree, path:sub(1, #tree))
    end
  end)

  it("runs goroutines that talk over channels", function()
    local go = require("goroutines")
    local numbers = go.chan()
    go(function()
      for i = 1, 10 do numbers:send(i) end
      numbers:close()
    end)
    local sum = 0
    for n in numbers do sum = sum + n end
    assert.equal(55, sum)
  end)
end)
