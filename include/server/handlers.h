/*
 * server/handlers.h: the handlers that the command table names, by the file that they stand in.
 * Each answers with call_writer() and its kin, or takes a call_request(); exactly one of them.
 */
#ifndef BALLAST_SERVER_HANDLERS_H
#define BALLAST_SERVER_HANDLERS_H

struct call;

/* command_connection.c */
void command_auth(struct call *call);
void command_echo(struct call *call);
void command_hello(struct call *call);
void command_ping(struct call *call);
void command_quit(struct call *call);
void command_reset(struct call *call);
void command_select(struct call *call);

/* command_client.c */
void command_client_getname(struct call *call);
void command_client_id(struct call *call);
void command_client_info(struct call *call);
void command_client_kill(struct call *call);
void command_client_list(struct call *call);
void command_client_no_effect(struct call *call);
void command_client_setinfo(struct call *call);
void command_client_setname(struct call *call);
void command_client_stale(struct call *call);
void command_client_tracking(struct call *call);

/* command_docs.c */
void command_command(struct call *call);
void command_command_count(struct call *call);
void command_command_docs(struct call *call);
void command_command_getkeys(struct call *call);
void command_command_info(struct call *call);
void command_command_list(struct call *call);
void command_help(struct call *call); /* of any container */

/* command_server.c */
void command_config_get(struct call *call);
void command_config_resetstat(struct call *call);
void command_config_set(struct call *call);
void command_info(struct call *call);
void command_latency_histogram(struct call *call);
void command_slowlog_get(struct call *call);
void command_slowlog_len(struct call *call);
void command_slowlog_reset(struct call *call);
void command_time(struct call *call);

/* command_read.c */
void command_balance(struct call *call);
void command_balanceat(struct call *call);
void command_exists(struct call *call);
void command_get(struct call *call);
void command_history(struct call *call);
void command_mget(struct call *call);

/* command_write.c */
void command_close(struct call *call);
void command_credit(struct call *call);
void command_debit(struct call *call);
void command_mtransfer(struct call *call);
void command_open(struct call *call);
void command_resume(struct call *call);
void command_reverse(struct call *call);
void command_setfloor(struct call *call);
void command_suspend(struct call *call);
void command_transfer(struct call *call);

/* command_hold.c */
void command_capture(struct call *call);
void command_hold(struct call *call);
void command_release(struct call *call);

/* command_charge.c */
void command_charge_begin(struct call *call);
void command_charge_list(struct call *call);
void command_charge_settle(struct call *call);

/* command_canspend.c */
void command_canspend(struct call *call);

#endif
