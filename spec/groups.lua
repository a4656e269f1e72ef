-- What the specs of groups share.

local assert = require("luassert")
local go = require("goroutines")
local helper = require("spec.helper")

local groups = {}

-- Numbers of processors to run on.
groups.PROCS = { 1, 2, 4 }

-- The group's wait, with a time limit that a correct group never reaches.
function groups.wait(g)
  return g:wait(helper.within(20))
end

-- Checks what a wait gives in a group that was cancelled with this reason.
function groups.assert_cancelled(reason, ok, err, ...)
  assert.is_nil(ok)
  assert.is_true(go.is_cancelled(err), tostring(err))
  assert.same(reason, err.reason)
  assert.equal(0, select("#", ...))
end

function groups.statuses(tasks)
  local list = {}
  for i, task in ipairs(tasks) do
    list[i] = task:status()
  end
  return list
end

return groups
