"""Calls to an LLM, for generators and judges alike: on the ledger before they are made, paced, limited and paid for.

caller              one request to its answer; `retries`, `refusals`: when it fails
call_scheduler      when the next attempt may begin, and its start on the log before
rate_control        calls under way, rates and pauses: `concurrency`, `token_bucket`, `circuit_breaker`
explorer            how many calls in flight pay; `found_concurrency`: kept for the next start
limits              when to stop and when to wait; `cost`: what calls cost, known and at worst
ledger_events       what an attempt leaves on the log; `confirming_writer`: writing it without holding up others
stop_signals        how a signal ends a lane
"""
