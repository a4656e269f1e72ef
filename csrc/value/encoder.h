// SPDX-License-Identifier: MIT
// What the files of the encoder share: encode.c writes values, plain.c those
// that are only data, path.c names the one that cannot be sent, function.c
// functions, capture.c what these mention, setting.c where modules are looked
// for.
#ifndef GR_ENCODER_H
#define GR_ENCODER_H

#include <string.h>

#include "value/block.h"
#include "value/module.h"

enum {
  GR_SEEN_FEW = 8,      // are looked through one by one
  GR_DEPTH_LIMIT = 190, // of what has a __transfer, and of metatables
};

// An object that has been written, or the variable of a closure.
typedef struct gr_seen {
  const void *key;
  size_t tag_at;    // where its tag is, or that of the function
  uint32_t object;  // its number, or the function's
  uint32_t upvalue; // of a variable: its index there; of an object: 0, or
                    // one of GR_SEEN_...
} gr_seen;

enum {
  GR_SEEN_OPEN = 1 << 16, // its __transfer is being written
  GR_SEEN_OFF = 1 << 17,  // its content has been put off, and not written yet
};

// What is put off from now on is written at the end of that, and before a
// function is called that may have it.
typedef struct gr_section {
  uint32_t laters, laters_done; // of the one around it
} gr_section;

// Strings in lists: how many lists and strings there are, and those that have
// been looked at.
typedef struct gr_mentioned {
  lua_Integer lists, count;
  lua_Integer lists_done, done; // the second in the list after the first
} gr_mentioned;

typedef struct gr_encoder {
  lua_State *L;
  gr_values what;
  unsigned char *items; // in the block, or before there is one elsewhere
  gr_block *block;      // for what is large
  size_t len, room;
  gr_block_handle *handles;
  uint32_t handle_count, handle_room;
  uint32_t objects, shared, laters, laters_done, value_laters;
  int sections; // how many there are around
  uint32_t settings, captures, effects;
  const void *globals;           // the table; NULL before the first object
  const gr_home *home;           // of a copy, whose objects have names
  const gr_modules_seen *filter; // of the names of others; NULL: none
  bool is_capturing;    // of a call: what its functions mention comes along
  gr_image_kind needs;  // of the receiver's state
  struct gr_code *code; // of a function that it may have, or NULL
  uint32_t code_object;
  bool has_updated; // the modules that there are
  int slots;        // stack index of the first of GR_SLOT_...
  gr_mentioned names, words;
  lua_Integer member_words,
      member_modules; // of which members have been written
  int member_libraries;
  lua_Integer retries; // names of globals, to be tried again at the end
  int early;           // how many gr_capture_put_early are under way
  int depth;           // of the value in whose midst the innermost one is
  gr_seen *seen;       // `few`; a hash table when there are more
  uint32_t seen_count, seen_max, seen_room;
  gr_seen few[GR_SEEN_FEW]; // the last, and not set before they are used
} gr_encoder;

// Tables of the encoder on the Lua stack, made when needed.
enum {
  GR_SLOT_LATER,      // tables and functions put off
  GR_SLOT_ANCHORS,    // what lives only here, so that no address is used twice
  GR_SLOT_MODULES,    // gr_modules_push
  GR_SLOT_NAMES,      // of globals, mentioned by functions: the first list
  GR_SLOT_MORE_NAMES, // the other ones
  GR_SLOT_WORDS,      // all strings in functions: likewise
  GR_SLOT_MORE_WORDS,
  GR_SLOT_CAPTURED,    // where captures begin, by their kind and name
  GR_SLOT_RETRIES,     // names of globals
  GR_SLOT_TOUCHED,     // modules whose additions may be mentioned: as above;
                       // besides the standard libraries
  GR_SLOT_ENVIRONMENT, // of a function: neither the globals nor copied
  GR_SLOTS,
};

// Where in the values the walk is, innermost first.
typedef struct gr_path {
  const struct gr_path *outer;
  enum {
    GR_AT_ROOT,
    GR_AT_KEY,
    GR_AT_KEY_ITSELF,
    GR_AT_METATABLE,
    GR_AT_UPVALUE,
    GR_AT_LATER,
    GR_AT_GLOBAL,
    GR_AT_ADDED,
    GR_AT_PRELOAD,
    GR_AT_TRANSFER,
  } at;
  int index; // of the root; of the key, name or function on the stack
  int upvalue;
  int depth;
} gr_path;

// --- encode.c ---

static inline void gr_encoder_needs(gr_encoder *e, gr_image_kind kind) {
  if (e->needs < kind)
    e->needs = kind;
}

// Before the first object that may have a name, and when there are more.
void gr_encoder_find_modules(gr_encoder *e);

// The same without the filter of names. Raises nothing.
void gr_encoder_find_globals(gr_encoder *e);

// Where the next bytes go.
unsigned char *gr_encoder_reserve(gr_encoder *e, size_t bytes);
void gr_encoder_put_string(gr_encoder *e, int index);
void gr_encoder_put_value(gr_encoder *e, int index, const gr_path *p);

void gr_encoder_put(gr_encoder *e, const void *data, size_t bytes);
void gr_encoder_put_tag(gr_encoder *e, int tag);
void gr_encoder_put_tagged(gr_encoder *e, int tag, const void *data,
                           size_t bytes);

// The entry of the key, which is new if it has no key yet; and filling it.
gr_seen *gr_encoder_see(gr_encoder *e, const void *key);
void gr_encoder_note(gr_encoder *e, gr_seen *entry, const void *key,
                     size_t tag_at, uint32_t object, uint32_t upvalue);
void gr_encoder_mark_shared(gr_encoder *e, const gr_seen *entry);

// Makes room for so many more. False when out of memory.
bool gr_encoder_grow(gr_encoder *e, size_t bytes);

// As those above, but NULL or false instead of an error when out of memory.
static inline unsigned char *gr_encoder_try_reserve(gr_encoder *e,
                                                    size_t bytes) {
  if (GR_UNLIKELY(e->len + bytes > e->room) && !gr_encoder_grow(e, bytes))
    return NULL;
  unsigned char *at = e->items + e->len;
  e->len += bytes;
  return at;
}
static inline bool gr_encoder_try_put_tagged(gr_encoder *e, int tag,
                                             const void *data, size_t bytes) {
  unsigned char *at = gr_encoder_try_reserve(e, 1 + bytes);
  if (!at)
    return false;
  *at = (unsigned char)tag;
  memcpy(at + 1, data, bytes);
  return true;
}
bool gr_encoder_try_put_string(gr_encoder *e, const char *bytes, size_t len);
gr_seen *gr_encoder_try_see_more(gr_encoder *e, const void *key);
static inline gr_seen *gr_encoder_try_see(gr_encoder *e, const void *key) {
  if (GR_UNLIKELY(e->seen_count == e->seen_max || e->seen != e->few))
    return gr_encoder_try_see_more(e, key);
  gr_seen *entry = e->few, *end = entry + e->seen_count;
  end->key = NULL;
  while (entry < end && entry->key != key)
    entry++;
  return entry;
}
bool gr_encoder_try_put_handle(gr_encoder *e, const gr_handle *handle);

// If the object at the index was written before, refers to it; else gives it a
// number and writes its tag.
bool gr_encoder_put_again(gr_encoder *e, int index, int tag);

// Makes the table of GR_SLOT_... where it is not there yet.
void gr_encoder_need_slot(gr_encoder *e, int slot);

// Puts off the content of the object, which has been begun.
void gr_encoder_put_off(gr_encoder *e, int index);

// Begins a section, and ends it with the content of what has been put off in
// it, or been referred to in it though it was put off before; and their number
// before that. In the midst of a value at this depth (0: of none).
gr_section gr_encoder_begin_section(gr_encoder *e);
void gr_encoder_end_section(gr_encoder *e, const gr_section *outer, int depth);

// Keeps the value on top of the stack until the end. [-1, +0]
void gr_encoder_anchor(gr_encoder *e);

// Takes back what was written since `before`, a copy of the encoder.
void gr_encoder_undo(gr_encoder *e, const gr_encoder *before);

// --- standin.c ---

// Before the first table of a call that is no module yet: the program may have
// put it among them since. False if that has been done.
bool gr_encoder_update_modules(gr_encoder *e);

// The name by which the object at the index goes, or NULL; kept for as long as
// the encoder.
const char *gr_encoder_name_of(gr_encoder *e, int index, size_t *len);

// True if the object was written before, or is by name or __transfer.
bool gr_encoder_put_otherwise(gr_encoder *e, int index, bool may_add,
                              const gr_path *p);

// --- function.c ---

void gr_encoder_put_lua_function(gr_encoder *e, int index, const gr_path *p);
void gr_encoder_put_c_function(gr_encoder *e, int index, const gr_path *p);

// Writes what was put off of a function.
void gr_encoder_put_function_later(gr_encoder *e, int index, const gr_path *p);

// --- plain.c ---

// Writes the `count` values from this stack index on, if they are plain data:
// raises nothing, and calls nothing that may change them. False if there is
// anything else, or too little memory; then what was written is to be
// discarded.
bool gr_plain_put(gr_encoder *e, int first, int count);

// --- path.c ---

int gr_encoder_refuse(gr_encoder *e, const char *what, const gr_path *p);
int gr_encoder_no_memory(gr_encoder *e);

// --- setting.c ---

// Writes what has to be there before the values: where modules are looked for.
void gr_capture_put_settings(gr_encoder *e);

// --- capture.c ---

// Writes one that has not been written, with the name and value at these
// indices; or, if it cannot be sent, that it is absent. [-0, +0, m]
void gr_capture_put_one(gr_encoder *e, int kind, int name, int value);

// Notes the lists of names and words on top of the stack. [-2, +0]
void gr_capture_mention(gr_encoder *e);

// Forgets the captures within the one that begins here, which has failed.
void gr_capture_undo(gr_encoder *e, size_t len);

// Writes what was mentioned and is not in every state. One that cannot be sent
// is written as absent, with the reason.
void gr_capture_put(gr_encoder *e);

// Writes, with their number, those that were mentioned until now, in the midst
// of the value at this depth: for a function that is called while it is
// decoded.
void gr_capture_put_early(gr_encoder *e, int depth);

#endif
