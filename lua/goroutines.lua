-- SPDX-License-Identifier: MIT
-- The module: what `require("goroutines")` gives. All is in C; this file says
-- clearly what is wrong where that cannot be loaded.

if _VERSION ~= "Lua 5.4" then
  error("goroutines needs Lua 5.4, and this is " .. _VERSION, 0)
end

return require("goroutines.core")
