-- Instructions per operation, as bench/count.lua counts them (x86-64, Debian 12,
-- release build). A change that makes one grow by more than 5 % changes it here.
return {
  spawn = 30300,
  spawn_full = 78500,
  yield = 570,
  pingpong = 3190,
  stream = 1385,
  select = 1830,
  mutex = 780,
  timer = 12600,
  struct = 12900,
}
