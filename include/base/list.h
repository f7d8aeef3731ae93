/*
 * base/list.h: a circular doubly linked list whose links stand in its elements, used as queue and
 * as set: O(1) to add at either end, to remove any element, and to join two lists. <sys/queue.h>
 * would need one declaration a type and cannot say whether an element is on a list; a removed link
 * here points to itself, so that list_is_linked() can tell and removing twice does no harm.
 *
 *   struct list waiting;                       struct request { struct list link; ... };
 *   list_init(&waiting);
 *   list_push_back(&waiting, &request->link);
 *   struct request *first = LIST_FIRST(&waiting, struct request, link);    NULL: empty
 */
#ifndef BALLAST_BASE_LIST_H
#define BALLAST_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The struct around a link. */
#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))

/* Removes and returns the first element, or NULL. */
#define LIST_POP_FRONT(head, type, member)                                                         \
    (list_is_empty(head) ? NULL : LIST_ENTRY(list_unlink((head)->next), type, member))

/* Walks the links; `link` may be unlinked in the body, others may not. */
#define LIST_EACH(head, link)                                                                      \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)

/* Every head and every link must be initialised before its first use. */
static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Whether this link stands on some list. */
static inline bool list_is_linked(const struct list *link)
{
    return link->next != link;
}

/* The link must not stand on a list. */
static inline void list_insert_before(struct list *place, struct list *link)
{
    link->prev = place->prev;
    link->next = place;
    place->prev->next = link;
    place->prev = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert_before(head, link);
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_before(head->next, link);
}

/* Takes the link off its list, if it is on one; returns it. */
static inline struct list *list_unlink(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
    return link;
}

/* Moves everything on `from`, in order, to the end of `head`; `from` is empty then. */
static inline void list_splice_back(struct list *head, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = head->prev;
    from->prev->next = head;
    head->prev->next = from->next;
    head->prev = from->prev;
    list_init(from);
}

#endif
