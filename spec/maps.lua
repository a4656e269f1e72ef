-- What the specs of maps share.

local assert = require("luassert")
local go = require("goroutines")

local maps = {}

-- What pairs gives, as a table.
function maps.contents(m)
  local t = {}
  for k, v in pairs(m) do
    assert.is_nil(t[k])
    t[k] = v
  end
  return t
end

-- A map, and a task that updates `key` of it from nothing to "new" as soon as
-- the channel is closed.
function maps.updating(key)
  local m, gate, inside = go.map(), go.chan(), go.chan()
  local task = go.spawn({ name = "updater" }, function()
    return m:update(key, function()
      inside:close()
      gate:recv()
      return "new"
    end)
  end)
  inside:recv()
  return m, gate, task
end

return maps
