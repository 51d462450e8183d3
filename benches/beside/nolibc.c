/* A CGI program without a C library: what is left is the cost of starting a process at all. */
static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

void _start(void)
{
    static const char answer[] = "Content-Type: text/plain\r\n\r\nHello, world\n";
    call(1, 1, (long)answer, sizeof answer - 1);
    call(60, 0, 0, 0);
}
