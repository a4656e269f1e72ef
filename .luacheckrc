std = "lua54"
max_line_length = 100
exclude_files = { "build", "build.luarocks" }
files["spec"] = { std = "lua54+busted" }
files["types"] = { ignore = { "211", "241", "212", "213", "111", "112", "113", "121", "131", "631" } }
