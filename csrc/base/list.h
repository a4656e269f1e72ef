// SPDX-License-Identifier: MIT
// Doubly linked list with its links inside the elements. A link that is in no
// list points to itself, so that removing it twice does nothing.
#ifndef GR_LIST_H
#define GR_LIST_H

#include "base/base.h"

typedef struct gr_link {
  struct gr_link *next;
  struct gr_link *prev;
} gr_link;

typedef struct gr_list {
  gr_link head;
} gr_list;

static inline void gr_link_init(gr_link *link) {
  link->next = link->prev = link;
}

static inline bool gr_link_is_linked(const gr_link *link) {
  return link->next != link;
}

static inline void gr_list_init(gr_list *list) {
  gr_link_init(&list->head);
}

static inline bool gr_list_is_empty(const gr_list *list) {
  return list->head.next == &list->head;
}

static inline gr_link *gr_list_first(const gr_list *list) {
  return gr_list_is_empty(list) ? NULL : list->head.next;
}

static inline void gr_list_push(gr_list *list, gr_link *link) {
  link->prev = list->head.prev;
  link->next = &list->head;
  link->prev->next = link;
  list->head.prev = link;
}

static inline void gr_list_push_front(gr_list *list, gr_link *link) {
  link->prev = &list->head;
  link->next = list->head.next;
  link->next->prev = link;
  list->head.next = link;
}

static inline void gr_list_remove(gr_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  gr_link_init(link);
}

static inline gr_link *gr_list_pop(gr_list *list) {
  gr_link *first = gr_list_first(list);
  if (first)
    gr_list_remove(first);
  return first;
}

#endif
