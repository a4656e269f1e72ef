// SPDX-License-Identifier: MIT
// State images: a ready state, made once, of which others are copies. What it
// costs to build one, and to take it apart, is then paid once a process.
//
// The image lies at an address that nothing but a pointer into it equals by
// chance; so the words in it that have to be changed in a copy are found by
// looking. That copies work, and where a state keeps what wants finalizing, is
// tried out on the Lua that is there; if anything is not as expected, states
// are built and closed the plain way, and `gr_image_why_not` tells.
#ifndef GR_IMAGE_H
#define GR_IMAGE_H

#include <lua.h>

#include "base/fetch.h"
#include "value/home.h"

// A bare state has the base library and channels only, and costs a third of a
// full one; a lean one this module besides. They are for calls that, as their
// instructions show, use nothing else.
//
// A function that many goroutines are started with has images of its own, in
// which it is loaded already (see code.h). They are made when they are first
// asked for.
typedef enum gr_image_kind {
  GR_IMAGE_BARE,
  GR_IMAGE_LEAN,
  GR_IMAGE_FULL,
  GR_IMAGES
} gr_image_kind;

struct gr_code;
typedef struct gr_image gr_image;

// What lua_dump has made of a function.
typedef struct gr_bytecode {
  const unsigned char *bytes;
  size_t len;
} gr_bytecode;

// Makes the image of this kind with what `open` makes of an empty state. Once a
// process each, before there are goroutines.
void gr_image_init(gr_image_kind kind, lua_CFunction open);

// Makes that with a function besides, unless it has been asked for before.
// Takes a millisecond or so.
void gr_image_add(gr_image_kind kind, struct gr_code *code);

// Makes one of a full state in which `load(argument)` has been called besides,
// which is done once; `number` is new, and below GR_PRELOADS. NULL if there is
// none: *why_not tells. Raises what `load` does. [-0, +0, v]
enum { GR_PRELOADS = 8 };
gr_image *gr_image_preload(lua_State *L, unsigned number, lua_CFunction load,
                           void *argument, const char **why_not);

// As gr_image_copy.
lua_State *gr_image_copy_preloaded(gr_image *image, gr_home *home);

// True if something in the bytecode may be taken for a pointer into an image,
// which its maker can arrange.
bool gr_image_may_mistake(gr_bytecode bytecode);

// Why there is not one of each kind, or NULL.
const char *gr_image_why_not(void);

// Makes a state in this home, which is initialized; of the image with the
// function, which may be NULL. NULL when there is no such image, no memory, or
// the limit is too low for it.
lua_State *gr_image_copy(gr_image_kind kind, const struct gr_code *code,
                         gr_home *home);

// What is to be fetched, of the memory that begins at *memory, before a
// goroutine with this state goes on; see hot.h. NULL if it is no copy.
const gr_lines *gr_image_hot(const gr_home *home, const char **memory);

// Finds that out for all copies that have the function, when one is about to
// wait; in the first to come, for each `time` from 0 to 1 once.
void gr_image_find_hot(lua_State *L, unsigned time);

// True if that is not known in the end.
bool gr_image_looks_for_hot(const gr_home *home);

// If the state is a copy that has the function, pushes it, as lua_load would,
// for once. [-0, +(0|1), -]
bool gr_image_take_function(lua_State *L, const struct gr_code *code);

// Lets the state go without closing it, if nothing in it wants that: what is to
// be finalized are handles, which are released, and buffers of strings. False
// if it has to be closed. It is not to be used any more in either case, but by
// lua_close.
bool gr_image_drop(lua_State *L, gr_home *home);

// Releases all handles in a state that is let go, without what else it has.
void gr_image_abandon(lua_State *L);

// The name that the object has in the table of modules of each copy (see
// module.h), if it is the model's; else NULL.
const char *gr_image_name(const gr_home *home, const void *object, size_t *len);

// How many states were copies, and how many were let go without being closed.
void gr_image_count(uint64_t *copies, uint64_t *drops);

// How many images there are with a function.
unsigned gr_image_count_functions(void);

#endif
