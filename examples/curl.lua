-- libcurl in goroutines: any number of transfers at a time, and no thread waits.
-- One goroutine has curl's handle to itself. For each descriptor that curl waits for
-- it starts another, which does so by go.wait_fd and tells it; and it is told by
-- those who want something fetched. The binding is curl_multi.c, which is built with
-- the tests.
--
--   local client <close> = require("examples.curl").new()
--   local body, status = client:fetch(url)          -- or nil and curl's message
--   local body, status = client:fetch(url, "POSTed")

local go = require("goroutines")
local curl_multi = require("curl_multi")

local Client = {}
Client.__index = Client

local function closing(f) return setmetatable({}, { __close = f }) end

-- Once: afterwards curl may wait for something else. Should it close the descriptor
-- before that, or meanwhile, then the key is wanted no longer, and this is cancelled.
local function wait(inbox, key, fd)
  go.wait_fd(fd, key:sub(-1))
  inbox:send(key)
end

-- Has one wait for each key of `wanted`, and nobody else; `waiting` has their tasks.
local function adapt(waiting, wanted, group, inbox)
  for key, task in pairs(waiting) do
    if not wanted[key] then
      task:cancel()
      waiting[key] = nil
    end
  end
  for key, fd in pairs(wanted) do
    waiting[key] = waiting[key] or group:spawn(wait, inbox, key, fd)
  end
end

-- What comes into the inbox: a key that is ready; a request { number =, url =,
-- body =, reply = }; or { number = } of one that nobody waits for any more.
local function drive(inbox)
  local replies, waiting = {}, {}
  local _ <close> = closing(function()
    inbox:close()
    for _, reply in pairs(replies) do reply:close() end
  end)
  local multi <close> = curl_multi.new()
  local group <close> = go.group({ on_error = "collect", keep = "none" })
  while true do -- until it is cancelled
    adapt(waiting, multi:wanted(), group, inbox)
    local message = inbox:recv(multi:timeout())
    if type(message) == "table" then
      replies[message.number] = message.reply
      if message.reply then
        multi:add(message.number, message.url, message.body)
      else
        multi:remove(message.number)
      end
    else
      if message then waiting[message] = nil end
      multi:act(message) -- nil: the time is up
    end
    for number, body, status in multi.finished, multi do
      replies[number]:send({ body, status })
      replies[number] = nil
    end
  end
end

-- A client may be sent to any goroutine. It lives in the scope that it is made in.
function Client.new()
  local inbox = go.chan()
  return setmetatable({ inbox = inbox, numbers = go.atomic(),
    driver = go.spawn(drive, inbox) }, Client)
end

-- The body and the status; or nil and curl's message, or "closed".
function Client:fetch(url, body)
  local number, reply = self.numbers:add(1), go.chan(1)
  self.inbox:send({ number = number, url = url, body = body, reply = reply })
  local _ <close> = closing(function(_, err)
    if err then -- cancelled; the client may be closed by now
      pcall(self.inbox.send, self.inbox, { number = number })
    end
  end)
  local answer, why = reply:recv()
  if not answer then return nil, why end
  return answer[1], answer[2]
end

-- Breaks off what is still fetched; nothing is left then.
function Client:close()
  self.driver:cancel()
  self.driver:join()
end

Client.__close = Client.close

return Client
