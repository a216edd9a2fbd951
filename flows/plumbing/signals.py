"""A second signal ends the process, whatever the process is doing.

The first is answered in good order, by Python. But code in C that never comes back, such as a
pattern that tries for ever, keeps Python from answering any; so the system itself is asked to end
the process at the second, with what `sigaction` calls SA_RESETHAND.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from typing import Any, ClassVar

_IS_MAC = sys.platform == "darwin"
_RESET_AT_FIRST = 0x0004 if _IS_MAC else 0x80000000


class _Sigaction(ctypes.Structure):
    _fields_: ClassVar[Any] = (
        [("handler", ctypes.c_void_p), ("mask", ctypes.c_uint32), ("flags", ctypes.c_int)]
        if _IS_MAC
        else [
            ("handler", ctypes.c_void_p),
            ("mask", ctypes.c_ubyte * 128),
            ("flags", ctypes.c_uint32),
            ("restorer", ctypes.c_void_p),
        ]
    )


def end_at_second(number: int) -> None:
    """Have the process end at once when a signal comes again after the handler was called.

    Whoever sets a handler afterwards, with `signal.signal` or on a loop, has the old way again.
    """
    if not callable(signal.getsignal(number)):
        return  # nothing answers the first one
    # Where the C library is another one's, a second signal is answered as the first.
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        action = _Sigaction()
        if library.sigaction(number, None, ctypes.byref(action)) == 0:
            action.flags |= _RESET_AT_FIRST
            library.sigaction(number, ctypes.byref(action), None)
