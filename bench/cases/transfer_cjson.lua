-- The same values as transfer.lua, into JSON and back by lua-cjson.

local cjson = require("cjson")
local transfer = dofile((arg[0]:match("^.*/") or "") .. "../transfer.lua")

local encode, decode = cjson.encode, cjson.decode

transfer.report(function(value, n)
  for _ = 1, n do decode(encode(value)) end
end)
