-- Instructions per operation, as bench/count.lua counts them (x86-64, Debian 12,
-- release build). A change that makes one grow by more than 5 % changes it here.
return {
  spawn = 24900,
  spawn_full = 70000,
  yield = 580,
  pingpong = 3250,
  stream = 1385,
  select = 1830,
  mutex = 780,
  timer = 10850,
  struct = 13100,
}
