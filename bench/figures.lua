-- Figures as lines `name value unit`: figures(now, multiplier), where now() is
-- the time in seconds, and the multiplier is of how often or how long something
-- is done.

return function(now, multiplier)
  local figures = { now = now }
  local scale = tonumber(multiplier or 1)

  function figures.times(n)
    return math.max(1, math.floor(n * scale))
  end

  function figures.report(name, value, unit)
    print(("%s %.3f %s"):format(name, value, unit))
  end

  function figures.report_ns(name, seconds, times)
    figures.report(name, seconds / times * 1e9, "ns")
  end

  -- Percentiles of a list of seconds, which is sorted.
  function figures.report_late(prefix, late)
    local function rank(p) return late[math.ceil(p * #late)] * 1e6 end
    table.sort(late)
    figures.report(prefix .. "p50", rank(0.5), "us")
    figures.report(prefix .. "p99", rank(0.99), "us")
    figures.report(prefix .. "max", rank(1), "us")
  end

  -- How long f() takes.
  function figures.seconds(f)
    local start = now()
    f()
    return now() - start
  end

  -- How long f() takes on average, called again and again for half a second.
  function figures.average_seconds(f)
    local calls, limit, start = 0, 0.5 * scale, now()
    repeat
      f()
      calls = calls + 1
    until now() - start >= limit
    return (now() - start) / calls
  end

  function figures.resident_bytes()
    local status <close> = assert(io.open("/proc/self/status"))
    return tonumber(status:read("a"):match("VmRSS:%s*(%d+) kB")) * 1024
  end

  return figures
end
