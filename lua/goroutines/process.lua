-- SPDX-License-Identifier: MIT
-- What go.process.run does, once its options have been checked.

local function feed(stream, input)
  stream:write(input) -- a child that does not read it all is no error
  stream:close()
end

local function drain(stream)
  return stream:read("a")
end

-- Our ends of the pipes. Whoever still uses them ends.
local function close_streams(child)
  for _, name in ipairs({ "stdin", "stdout", "stderr" }) do
    if child[name] then
      child[name]:close()
    end
  end
end

-- Runs what `options`, as of spawn, say. `input` goes to its stdin, if that is a
-- pipe. `timeout` is seconds, or nil.
return function(go, options, input, timeout)
  local child, message, code = go.process.spawn(options)
  if not child then
    return nil, message, code
  end
  local deadline = timeout and go.now() + timeout

  local function left()
    return deadline and math.max(0, deadline - go.now())
  end

  -- All that may have to wait for the child, at the same time.
  local feeder = child.stdin and go.spawn(feed, child.stdin, input)
  local output = child.stdout and go.spawn(drain, child.stdout)
  local errors = child.stderr and go.spawn(drain, child.stderr)

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
  done, result.stdout = finish(output)
  if done then
    done, result.stderr = finish(errors)
  end
  if done then
    result.code, result.signal = child:wait(left())
    done = result.signal ~= "timeout"
  end
  if not done then
    child:kill("KILL")
    child:wait()
  end
  close_streams(child)
  for _, task in pairs({ feeder, output, errors }) do
    task:join()
  end
  if not done then
    return nil, "timeout"
  end
  return result
end
