-- What the specs share: waiting, settings, scripts in fresh interpreters, and
-- what a test may not leave behind. A goroutine that uses it loads it itself.
--
-- SPEC_SLACK in the environment stretches the upper bounds on time of single
-- tests (1), for slow builds; SPEC_LUA is the command that runs scripts, if it
-- is not just the interpreter.

local go = require("goroutines")

local helper = {}

local SLACK = tonumber(os.getenv("SPEC_SLACK")) or 1

-- Waiting and settings ------------------------------------------------------

-- Seconds that something may take at most, on a build as slow as this one.
function helper.within(seconds)
  return seconds * SLACK
end

-- How often something is repeated that varies by chance: less on slow builds.
function helper.times(n)
  return SLACK >= 20 and math.max(n // 5, 1) or n
end

-- Gives way until `holds()`. The test's time limit bounds it.
function helper.wait_until(holds)
  while not holds() do
    go.yield()
  end
end

-- Gives way until the goroutine of `task` waits; returns the task. One that is
-- over will not: an error.
function helper.parked(task)
  helper.wait_until(function()
    local status = task:status()
    assert(status == "runnable" or status == "running" or status == "waiting",
      "the goroutine is over and does not wait")
    return status == "waiting"
  end)
  return task
end

-- A task whose goroutine waits inside `f(...)`.
function helper.blocked(f, ...)
  return helper.parked(go.spawn(f, ...))
end

-- The same where the wait, or what it waits for, has a time limit: it may be
-- over already.
function helper.blocked_shortly(f, ...)
  local task = go.spawn(f, ...)
  helper.wait_until(function()
    local status = task:status()
    return status ~= "runnable" and status ~= "running"
  end)
  return task
end

-- A channel that holds the integers from 1 to `n`.
function helper.filled(capacity, n)
  local ch = go.chan(capacity)
  for i = 1, n do
    ch:send(i)
  end
  return ch
end

-- What a channel gives until it is closed, as a list.
function helper.drain(ch)
  local values = {}
  for v in ch do
    values[#values + 1] = v
  end
  return values
end

-- The list of the integers from 1 to `n`.
function helper.range(n)
  local values = {}
  for i = 1, n do
    values[i] = i
  end
  return values
end

-- A value that calls `f` when it is closed.
function helper.closing(f)
  return setmetatable({}, { __close = f })
end

local closing = helper.closing

-- Functions for goroutines: one waits until it is cancelled, one fails, and one
-- returns its arguments.
function helper.forever()
  go.sleep(3600)
end

function helper.fail(message)
  error(message, 0)
end

function helper.id(...)
  return ...
end

-- Sets the number of processors for the block: `local _ <close> = ...`.
function helper.procs(n)
  local before = go.procs(n)
  return closing(function() go.procs(before) end)
end

-- Runs `body(n)` with each number of processors.
function helper.each_procs(counts, body)
  for _, n in ipairs(counts) do
    local _ <close> = helper.procs(n)
    body(n)
  end
end

-- Changes settings of the runtime for the block: `local _ <close> = ...`.
function helper.configure(settings)
  local now, before = go.configure(), {}
  for key in pairs(settings) do
    before[key] = now[key]
  end
  go.configure(settings)
  return closing(function() go.configure(before) end)
end

-- Scripts in fresh interpreters ---------------------------------------------

local function interpreter()
  local i = 0
  while arg and arg[i - 1] do
    i = i - 1
  end
  return i < 0 and arg[i] or "lua5.4"
end

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local LUA = os.getenv("SPEC_LUA") or quote(interpreter())

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function take_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- A table that arrives as what `rebuild(...)` returns.
function helper.transferred(rebuild, ...)
  local args = table.pack(...)
  return setmetatable({}, {
    __transfer = function() return rebuild, table.unpack(args, 1, args.n) end,
  })
end

-- The command that runs an interpreter as the specs do.
helper.command = LUA

-- Words for env(1) that set `vars`; false takes one away.
local function environment(vars)
  local sets, unsets = {}, {}
  for name, value in pairs(vars or {}) do
    if value then
      sets[#sets + 1] = name .. "=" .. quote(tostring(value))
    else
      unsets[#unsets + 1] = "-u " .. name
    end
  end
  sets[#sets + 1] = "LUA_PATH_5_4=" .. quote(package.path)
  sets[#sets + 1] = "LUA_CPATH_5_4=" .. quote(package.cpath)
  return table.concat(unsets, " ") .. " " .. table.concat(sets, " ")
end

-- The path of a file with the script, to be removed by the caller.
function helper.script(text)
  local path = os.tmpname()
  write_file(path, text)
  return path
end

-- Runs a script in a process of its own and returns what became of it:
-- `{ stdout, stderr, code, seconds }` by name, with code 128 + n for signal n.
-- Takes the script's text, or a table: [1] the text (none: the interpreter gets
-- only `args`), `args` (options of the interpreter), `env`, `stdin` (text) and
-- `limit` (seconds until it is killed, 10).
function helper.lua(options)
  if type(options) == "string" then
    options = { options }
  end
  local script, input = os.tmpname(), os.tmpname()
  local output, errors = os.tmpname(), os.tmpname()
  write_file(script, options[1] or "")
  write_file(input, options.stdin or "")
  local command = ("env %s timeout -s KILL %g %s %s %s <%s >%s 2>%s"):format(
    environment(options.env), helper.within(options.limit or 10), LUA,
    options.args or "", options[1] and script or "", input, output, errors)
  local start = go.now()
  local _, kind, code = os.execute(command)
  local seconds = go.now() - start
  os.remove(script)
  os.remove(input)
  return {
    stdout = take_file(output),
    stderr = take_file(errors),
    code = kind == "signal" and 128 + code or code,
    seconds = seconds,
  }
end

-- The standard output of a script that has to end well and silently.
function helper.output(options)
  local result = helper.lua(options)
  if result.code ~= 0 or result.stderr ~= "" then
    error(("the script ended with status %d\n%s"):format(
      result.code, result.stderr), 2)
  end
  return result.stdout
end

-- What a test may not leave behind ------------------------------------------

local COUNTERS = {
  "goroutines", "channels", "timers", "sync_objects", "messages",
  "descriptors",
}

-- The live counts of the runtime, after the garbage is gone.
function helper.baseline()
  collectgarbage()
  collectgarbage()
  local stats, counts = go.stats(), {}
  for _, name in ipairs(COUNTERS) do
    counts[name] = stats[name]
  end
  return counts
end

local function leaks(baseline)
  local now, found = helper.baseline(), {}
  for _, name in ipairs(COUNTERS) do
    if now[name] > baseline[name] then
      found[#found + 1] = ("%d %s"):format(now[name] - baseline[name], name)
    end
  end
  return found
end

-- Raises unless the runtime is back at `baseline` within two seconds.
function helper.check_baseline(baseline)
  local deadline = go.now() + helper.within(2)
  local found = leaks(baseline)
  while #found > 0 do
    if go.now() > deadline then
      error("left behind: " .. table.concat(found, ", "), 0)
    end
    go.sleep(0.005)
    found = leaks(baseline)
  end
end

return helper
