-- The first answer wins: several servers are asked, whoever answers first is
-- believed, and the others are cancelled. A server that fails does not count.
--
--   lua5.4 examples/first_answer.lua

local go = require("goroutines")

local function ask(server)
  go.sleep(server.delay)
  if server.broken then error(server.name .. " is broken", 0) end
  return "answer of " .. server.name
end

local function first_answer(servers)
  local g <close> = go.group({ on_error = "collect" })
  for _, server in ipairs(servers) do g:spawn(ask, server) end
  local errors = {}
  for task in g:completed() do
    local ok, answer = task:join()
    if ok then
      g:cancel("too late")
      return answer
    end
    table.insert(errors, answer)
  end
  return nil, table.concat(errors, ", ")
end

print(first_answer({
  { name = "slow", delay = 3600 },
  { name = "quick", delay = 0.1 },
  { name = "broken", delay = 0.01, broken = true },
}))
print(first_answer({ { name = "broken", delay = 0, broken = true } }))
print(go.with_timeout(0.02, first_answer, { { name = "slow", delay = 3600 } }))
