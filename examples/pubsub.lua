-- Publish and subscribe: a broker owns the list of subscribers, which nobody else
-- touches. Who subscribes sends it a channel; a subscriber that is too slow
-- misses messages, and holds up nobody.
--
--   lua5.4 examples/pubsub.lua

local go = require("goroutines")

local function broker(subscriptions, messages)
  local subscribers = {}
  while true do
    local case, value = go.select(subscriptions, messages)
    if case == 1 then
      table.insert(subscribers, value)
    elseif value == nil then
      break
    else
      for _, subscriber in ipairs(subscribers) do
        go.select(subscriber:sending(value), go.default)
      end
    end
  end
  for _, subscriber in ipairs(subscribers) do subscriber:close() end
end

local function subscribe(name, room)
  local count = 0
  for _ in room do count = count + 1 end
  return ("%s got %d messages"):format(name, count)
end

local subscriptions, messages = go.chan(), go.chan()
local g <close> = go.group()
g:spawn(broker, subscriptions, messages)
local rooms = { attentive = go.chan(10), forgetful = go.chan(3) }
for _, room in pairs(rooms) do subscriptions:send(room) end
for i = 1, 10 do messages:send(i) end -- nobody reads yet: what has no room is lost
messages:close()
for _, name in ipairs({ "attentive", "forgetful" }) do
  print(select(2, g:spawn(subscribe, name, rooms[name]):join()))
end
