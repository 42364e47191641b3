"""The page of a run: looks up what the index of its log has, and shows what comes in as it comes.

guard      who may ask: Host, Origin and token are checked, and every answer says what a browser may do with it
files      the page itself: HTML, CSS and scripts that come with the package
api        what the page asks for, as JSON; `answers`: errors, long work one request at a time
studies    what takes computing: `map`, the rows in the classifier's plane; `what_if`, other thresholds; evaluations
acts       what the page does to a run, once it was confirmed
stream     what comes in, as server-sent events whose ids are offsets
story      a row as the page tells it
server     all of it at an address
pages/     the files of the page; pages/vendor/ are others' work, with their licences
"""
