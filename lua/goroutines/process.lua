-- SPDX-License-Identifier: MIT
-- What go.process.run does, once its options have been checked.

local function feed(stream, input)
  stream:write(input) -- a child that does not read it all is no error
  stream:close()
end

local function drain(stream)
  return stream:read("a")
end

-- Ends what is left of a child: kills it if it still runs, and closes our ends of
-- the pipes, so that whoever uses them ends. Also after a cancellation.
local function clean_up(child, tasks)
  if child:kill("KILL") then
    child:wait()
  end
  for _, name in ipairs({ "stdin", "stdout", "stderr" }) do
    if child[name] then
      child[name]:close()
    end
  end
  for _, task in pairs(tasks) do
    task:join()
  end
end

-- Runs what `options`, as of spawn, say. `input` goes to its stdin, if that is a
-- pipe. `timeout` is seconds, or nil.
return function(go, options, input, timeout)
  local child, message, code = go.process.spawn(options)
  if not child then
    return nil, message, code
  end
  local tasks = {}
  local _ <close> = setmetatable({}, {
    __close = function() clean_up(child, tasks) end })
  local deadline = timeout and go.now() + timeout

  local function left()
    return deadline and math.max(0, deadline - go.now())
  end

  -- All that may have to wait for the child, at the same time.
  tasks.feeder = child.stdin and go.spawn(feed, child.stdin, input)
  tasks.output = child.stdout and go.spawn(drain, child.stdout)
  tasks.errors = child.stderr and go.spawn(drain, child.stderr)

  -- True and the result, or nothing when the time is up.
  local function finish(task)
    if not task then
      return true
    end
    local ok, text = task:join(left())
    return ok, text
  end

  local result = {}
  local done
  done, result.stdout = finish(tasks.output)
  if not done then
    return nil, "timeout"
  end
  done, result.stderr = finish(tasks.errors)
  if not done then
    return nil, "timeout"
  end
  result.code, result.signal = child:wait(left())
  if result.signal == "timeout" then
    return nil, "timeout"
  end
  return result
end
