"""LLM calls for generators and judges: on the ledger before they are made, rate-controlled, and held to a budget.

caller              one request to its answer; `retries`, `refusals`: when it fails; `ask_again`: until it can be read
call_scheduler      when the next attempt begins, with its start on the log first
earlier_attempts    what other processes did in the lane
rate_control        calls in flight, rates and pauses: `concurrency`, `token_bucket`, `circuit_breaker`
explorer            finds how many calls in flight pay off; `call_meter`: what a number brings; `found_concurrency`:
                    kept for the next start
limits              when to stop and when to wait; `cost`: known cost and worst case of calls
ledger_events       the events of an attempt; `confirming_writer`: writes them without blocking the event loop
ordered_work        several items at once, their events in order; `ordered_progress`: which of them are done
stop_signals        how a signal ends a generator or judge
"""
