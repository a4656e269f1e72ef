-- The examples and the README's code run, and give what they should.

local helper = require("spec.helper")

local function run(arguments, options)
  options = options or {}
  options.args = arguments
  return helper.output(options)
end

describe("an example", function()
  it("is short", function()
    for _, name in ipairs({ "sieve", "pingpong", "worker_pool", "fan_in",
      "parallel_map", "pipeline", "fan_out", "rate_limit", "first_answer", "shutdown",
      "pubsub", "supervisor" }) do
      local count = 0
      for _ in io.lines("examples/" .. name .. ".lua") do
        count = count + 1
      end
      assert.is_true(count < 50, name)
    end
  end)

  it("sieves the first hundred primes", function()
    assert.matches("541%s*$", run("examples/sieve.lua"))
  end)

  it("plays ping-pong", function()
    assert.matches("game over", run("examples/pingpong.lua"))
  end)

  it("has a pool of workers work", function()
    assert.matches("514229", run("examples/worker_pool.lua"))
  end)

  it("fans in until there is silence", function()
    assert.matches("silence", run("examples/fan_in.lua"))
  end)

  -- What they print to the last line, in order, on 1, 2 and 4 processors.
  local PRINTED = {
    parallel_map = "5040 has 60 divisors\n.*99991 has 2 divisors\nnot a number: two\n$",
    pipeline = "^sum of 20 squares: 2870\nthe producer was held back\n$",
    fan_out = "^27 takes the most steps up to 30: 111\n$",
    rate_limit = "^request 1\n.*request 8\nnot too fast\n$",
    first_answer = "^answer of quick\nnil\tbroken is broken\nnil\ttimeout\n$",
    shutdown = "quick has ended\n.*endless was cancelled\nstopped\n$",
    pubsub = "^attentive got 10 messages\nforgetful got 3 messages\n$",
    supervisor = "^flaky, attempt 1.*work\ntrue\n.*attempt 4: no way\nnil\tgave up: no way\n$",
  }

  for name, pattern in pairs(PRINTED) do
    it("prints what it should: " .. name, function()
      for _, procs in ipairs({ 1, 2, 4 }) do
        assert.matches(pattern, run("examples/" .. name .. ".lua",
          { env = { GOROUTINES_PROCS = procs } }))
      end
    end)
  end

  it("counts words as the sequential program does", function()
    for _, procs in ipairs({ 1, 2, 4 }) do
      -- Progress goes to stderr.
      local plain = helper.lua({
        args = "examples/wordcount_sequential.lua csrc spec docs" })
      local ours = helper.lua({ args = "examples/wordcount.lua csrc spec docs",
        env = { GOROUTINES_PROCS = procs } })
      assert.matches("distinct", plain.stdout)
      assert.same({ plain.stdout, 0 }, { ours.stdout, ours.code })
    end
  end)
end)

describe("the README", function()
  it("has code that runs", function()
    local text = assert(io.open("README.md")):read("a")
    local code = assert(text:match("```lua\n(.-)```"))
    assert.equal("1\n4\n9\n", helper.output(code))
  end)
end)

describe("docs/values.md", function()
  it("has code that runs", function()
    local text = assert(io.open("docs/values.md")):read("a")
    local point = assert(text:match("<!%-%- point.lua %-%->\n```lua\n(.-)```"))
    local prefix = "package.preload.point = function() " .. point .. " end\n"
    local count = 0
    for code in text:gmatch("```lua\n(.-)```") do
      if code ~= point then
        helper.output(code:find('require("point")', 1, true) and prefix .. code or code)
        count = count + 1
      end
    end
    assert.is_true(count >= 10)
  end)
end)
