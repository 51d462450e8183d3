/* A FastCGI worker on libfcgi, one thread: the program behind both servers. */
#include <fcgiapp.h>

int main(void)
{
    FCGX_Request request;

    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\nHello, world\n");
        FCGX_Finish_r(&request);
    }
    return 0;
}
